//! Certificates for tests: an authority that signs a server's certificate for this machine.

use dhow_base::{Doing, Error, Kind, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A new authority and a server certificate that it signed, as PEM files.
#[derive(Debug)]
pub struct Certificates {
    /// The authority's certificate; a client that trusts it trusts the server.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes both for `127.0.0.1` and `localhost`, as files in `directory`.
    pub fn make(directory: &Path) -> Result<Self> {
        let (authority, certificate, key) = generate()
            .map_err(|error| Error::new(Kind::Internal, "make certificates").because(error))?;
        let made = Self {
            authority: directory.join("authority.pem"),
            certificate: directory.join("server.pem"),
            key: directory.join("server.key"),
        };
        for (path, text) in
            [(&made.authority, authority), (&made.certificate, certificate), (&made.key, key)]
        {
            fs::write(path, text).doing(|| format!("write {}", path.display()))?;
        }
        Ok(made)
    }
}

fn generate() -> Result<(String, String, String), rcgen::Error> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::<String>::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "dhow test authority");
    let authority_pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    server.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    let server_pem = server.signed_by(&key, &issuer)?.pem();
    Ok((authority_pem, server_pem, key.serialize_pem()))
}
