//! Tar streams byte by byte, so that a test can write what no packer would.

/// A tar stream in the making.
#[derive(Clone, Default)]
pub(crate) struct Raw(Vec<u8>);

/// One header; what a test does not care about has a sensible value.
#[derive(Clone)]
pub(crate) struct Header<'a> {
    pub(crate) typeflag: u8,
    pub(crate) name: &'a [u8],
    pub(crate) link: &'a [u8],
    pub(crate) mode: u64,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) size: u64,
    pub(crate) mtime: u64,
    pub(crate) device: (u64, u64),
}

impl Default for Header<'_> {
    fn default() -> Self {
        Self {
            typeflag: b'0',
            name: b"",
            link: b"",
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 1_000_000_000,
            device: (0, 0),
        }
    }
}

impl Raw {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        let size = content.len() as u64;
        self.entry(&Header { name: name.as_bytes(), size, ..Header::default() }, content.as_bytes())
    }

    pub(crate) fn directory(self, name: &str) -> Self {
        self.directory_of(name, 1_000_000_000)
    }

    pub(crate) fn directory_of(self, name: &str, mtime: u64) -> Self {
        let name = name.as_bytes();
        self.entry(&Header { typeflag: b'5', name, mode: 0o755, mtime, ..Header::default() }, b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.link(b'2', name, target)
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        self.link(b'1', name, target)
    }

    fn link(self, typeflag: u8, name: &str, target: &str) -> Self {
        let (name, link) = (name.as_bytes(), target.as_bytes());
        self.entry(&Header { typeflag, name, link, ..Header::default() }, b"")
    }

    /// A PAX header for the entry after it.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut payload = Vec::new();
        for (key, value) in records {
            let body = key.len() + value.len() + 3;
            let length = (body..).find(|all| *all == body + all.to_string().len()).unwrap();
            payload.extend_from_slice(format!("{length} {key}=").as_bytes());
            payload.extend_from_slice(value);
            payload.push(b'\n');
        }
        self.extension(b'x', &payload)
    }

    /// GNU's long name (`L`) or long link (`K`) for the entry after it.
    pub(crate) fn extension(self, typeflag: u8, payload: &[u8]) -> Self {
        let size = payload.len() as u64;
        let header = Header { typeflag, name: b"extension", size, ..Header::default() };
        self.entry(&header, payload)
    }

    /// A header as it is told, whatever content follows.
    pub(crate) fn entry(mut self, header: &Header<'_>, content: &[u8]) -> Self {
        self.0.extend_from_slice(&block(header));
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn block(header: &Header<'_>) -> [u8; 512] {
    let mut block = [0; 512];
    let mut text = |place: usize, text: &[u8]| {
        block[place..place + text.len()].copy_from_slice(text);
    };
    text(0, header.name);
    text(100, format!("{:07o}", header.mode).as_bytes());
    text(108, format!("{:07o}", header.uid).as_bytes());
    text(116, format!("{:07o}", header.gid).as_bytes());
    text(124, format!("{:011o}", header.size).as_bytes());
    text(136, format!("{:011o}", header.mtime).as_bytes());
    text(156, &[header.typeflag]);
    text(157, header.link);
    text(257, b"ustar\x0000");
    text(329, format!("{:07o}", header.device.0).as_bytes());
    text(337, format!("{:07o}", header.device.1).as_bytes());
    seal(&mut block);
    block
}

/// Writes the checksum of a header block.
pub(crate) fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}
