//! TLS as one registry wants it: whom to trust, and the certificate to show.
//!
//! ```text
//! <certs_dir>/<host[:port]>/*.crt            authorities, besides those of the system
//!                           x.cert, x.key    a certificate to show, and its key
//! ```

use crate::{address::Trust, config::Config};
use dhow_base::{Doing, Error, Kind, Result, file};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

const CERTIFICATES_LIMIT_BYTES: u64 = 4 << 20;
const FILES_LIMIT: usize = 100;

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Makes TLS configurations; the system's authorities are read once.
#[derive(Debug)]
pub(crate) struct Tls {
    certs_dirs: Vec<PathBuf>,
    own_certs_dir: Option<PathBuf>,
    ca_bundles: Vec<PathBuf>,
    provider: Arc<CryptoProvider>,
    system: OnceLock<RootCertStore>,
}

impl Tls {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            certs_dirs: config.certs_dirs.clone(),
            own_certs_dir: config.own_certs_dir.clone(),
            ca_bundles: config.ca_bundles.clone(),
            provider: Arc::new(aws_lc_rs::default_provider()),
            system: OnceLock::new(),
        }
    }

    /// The directory that is kept for one of `hosts`, if any.
    pub(crate) fn directory(&self, hosts: &[&str]) -> Option<PathBuf> {
        let candidates =
            self.certs_dirs.iter().flat_map(|dir| hosts.iter().map(move |host| dir.join(host)));
        candidates.into_iter().find(|path| path.is_dir())
    }

    /// The directory that the user gave for the registry, whichever it is.
    pub(crate) fn own_directory(&self) -> Option<PathBuf> {
        self.own_certs_dir.clone()
    }

    /// The configuration for connections to a host with this directory.
    pub(crate) fn configuration(
        &self,
        directory: Option<&Path>,
        trust: Trust,
    ) -> Result<ClientConfig> {
        let own = directory.map(Directory::read).transpose()?.unwrap_or_default();
        let versions = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs has suites for TLS 1.2 and 1.3");
        let verified = match trust {
            Trust::Insecure => {
                let anyone = Anyone { provider: Arc::clone(&self.provider) };
                versions.dangerous().with_custom_certificate_verifier(Arc::new(anyone))
            }
            Trust::Checked => {
                let mut roots = self.system()?.clone();
                roots.add_parsable_certificates(own.authorities.iter().cloned());
                if own.authorities.is_empty() || roots.is_empty() {
                    versions.with_root_certificates(roots)
                } else {
                    let pinned = Pinned::new(roots, own.authorities, &self.provider)?;
                    versions.dangerous().with_custom_certificate_verifier(Arc::new(pinned))
                }
            }
        };
        let mut configuration = match own.identity {
            Some((chain, key)) => verified.with_client_auth_cert(chain, key).map_err(|error| {
                let shown = directory.unwrap_or(Path::new("")).display();
                Error::new(Kind::Invalid, format!("use the certificate in {shown}")).because(error)
            })?,
            None => verified.with_no_client_auth(),
        };
        configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(configuration)
    }

    fn system(&self) -> Result<&RootCertStore> {
        if let Some(store) = self.system.get() {
            return Ok(store);
        }
        let mut store = RootCertStore::empty();
        for path in &self.ca_bundles {
            match certificates(path) {
                Err(error) if error.kind() == Kind::NotFound => {}
                read => {
                    // A bundle may hold certificates that are too odd for us; the rest still serves.
                    store.add_parsable_certificates(read?);
                    break;
                }
            }
        }
        Ok(self.system.get_or_init(|| store))
    }
}

#[derive(Default)]
struct Directory {
    authorities: Vec<CertificateDer<'static>>,
    identity: Option<Identity>,
}

impl Directory {
    fn read(path: &Path) -> Result<Self> {
        let doing = || format!("list {}", path.display());
        let mut own = Self::default();
        for entry in std::fs::read_dir(path).doing(doing)?.take(FILES_LIMIT) {
            let file = entry.doing(doing)?.path();
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => own.authorities.extend(certificates(&file)?),
                Some("cert") => own.identity = Some(identity(&file)?),
                _ => {}
            }
        }
        Ok(own)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = file::read_limited(path, CERTIFICATES_LIMIT_BYTES)?;
    let parsed: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    parsed.map_err(|error| {
        Error::new(Kind::Invalid, format!("parse certificates in {}", path.display()))
            .because(error)
    })
}

fn identity(certificate: &Path) -> Result<Identity> {
    let key = certificate.with_extension("key");
    let bytes = file::read_limited(&key, CERTIFICATES_LIMIT_BYTES)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        Error::new(Kind::Invalid, format!("parse the key in {}", key.display())).because(error)
    })?;
    Ok((certificates(certificate)?, key))
}

/// The usual checks, and one exception: many a registry has a self-signed certificate that calls
/// itself an authority, and its user has put just that file into `certs.d`. By the book an
/// authority's certificate is no server's; here it is, if it is that very one.
#[derive(Debug)]
struct Pinned {
    usual: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl Pinned {
    fn new(
        roots: RootCertStore,
        own: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self> {
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let usual = builder.build().map_err(|error| {
            Error::new(Kind::Internal, "prepare the check of certificates").because(error)
        })?;
        Ok(Self { usual, own })
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        match self.usual.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // `Other` is where "an authority's certificate" lands; time has been checked before.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if self.own.iter().any(|own| own == certificate) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Trusts any certificate, for registries that are configured as insecure. The handshake's own
/// signatures are still checked, so that a broken server is told from an untrusted one.
#[derive(Debug)]
struct Anyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
