//! Where random files are uploaded to.

use super::Reader;

/// Its bucket; without one nothing is uploaded. Region and credentials are found as by every program that uses AWS: in
/// `AWS_REGION` and so on, or from the machine or pod that it runs on.
#[derive(Debug, Clone)]
pub struct Upload {
    /// `UPLOAD_BUCKET`: its name.
    pub bucket: Option<String>,
    /// `UPLOAD_ENDPOINT`: where S3 is, by default AWS'. One given here has its buckets in the path, not in its name.
    pub endpoint: Option<String>,
    /// `UPLOAD_LIMIT`: the largest file, by default 64MiB.
    pub limit: usize,
    /// `UPLOAD_CONCURRENCY`: how many at once, by default 2. Each holds up to 8 MiB of memory.
    pub concurrency: u32,
}

impl Upload {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            bucket: read.optional("UPLOAD_BUCKET", "the name of a bucket", |text| {
                let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
                ((3..=63).contains(&text.len()) && text.bytes().all(plain)).then(|| text.to_owned())
            }),
            endpoint: read.url("UPLOAD_ENDPOINT").map(|url| url.to_string()),
            limit: read.bytes("UPLOAD_LIMIT", "64MiB", 5 << 30),
            concurrency: read.number("UPLOAD_CONCURRENCY", "2", 1, 100),
        }
    }
}
