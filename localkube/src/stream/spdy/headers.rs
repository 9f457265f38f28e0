//! Header blocks of SPDY/3: one zlib stream a direction, which begins with a dictionary that both ends know (draft 3,
//! section 2.6.10).

use std::collections::BTreeMap;

use flate2::{Compress, Compression, FlushCompress};
use miniz_oxide::inflate::{
    TINFLStatus,
    core::{DecompressorOxide, decompress, inflate_flags::TINFL_FLAG_HAS_MORE_INPUT},
};

/// The dictionary's first part: each word with its length before it.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language \
                     accept-ranges age allow authorization cache-control connection content-base content-encoding \
                     content-language content-length content-location content-md5 content-range content-type date etag \
                     expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since \
                     last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer \
                     retry-after server te trailer transfer-encoding upgrade user-agent vary via warning \
                     www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin";
/// And the second, which is plain text.
const TEXT: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
                    203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request\
                    401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented\
                    503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 \
                    Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,\
                    application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,\
                    deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";
/// How far back deflate may refer.
const WINDOW: usize = 32 << 10;
/// What a block may unpack to; ours hold a few words.
const BLOCK_BYTES: usize = 64 << 10;
/// The head of a zlib stream, and the dictionary's checksum after it.
const HEAD: usize = 2 + 4;

/// Names, in small letters, and values.
pub(super) type Headers = BTreeMap<String, String>;

/// Reads the blocks of one direction.
pub(super) struct Reader {
    state: Box<DecompressorOxide>,
    /// The last output, written round and round; at first it is the dictionary.
    window: Vec<u8>,
    at: usize,
    begun: bool,
}

impl Reader {
    pub(super) fn new() -> Self {
        let mut window = dictionary();
        let at = window.len();
        window.resize(WINDOW, 0);
        Self { state: Box::default(), window, at, begun: false }
    }

    /// The headers of the next block; none if it is not one.
    pub(super) fn read(&mut self, mut block: &[u8]) -> Option<Headers> {
        if !self.begun {
            // The head says no more than that there is a dictionary, and there is but one.
            block = block.get(HEAD..)?;
            self.begun = true;
        }
        let mut text = Vec::new();
        loop {
            let (status, read, written) =
                decompress(&mut self.state, block, &mut self.window, self.at, TINFL_FLAG_HAS_MORE_INPUT);
            text.extend_from_slice(&self.window[self.at..self.at + written]);
            self.at = (self.at + written) % WINDOW;
            block = &block[read..];
            match status {
                TINFLStatus::HasMoreOutput if text.len() <= BLOCK_BYTES => {}
                TINFLStatus::NeedsMoreInput => return parse(&text),
                _ => return None,
            }
        }
    }
}

/// Writes the blocks of one direction. It never refers to the dictionary, so it need not have it.
pub(super) struct Writer(Compress);

impl Writer {
    pub(super) fn new() -> Self {
        Self(Compress::new(Compression::fast(), true))
    }

    /// A block without headers.
    pub(super) fn empty(&mut self) -> Vec<u8> {
        let mut block = Vec::with_capacity(64);
        let done = self.0.compress_vec(&0_u32.to_be_bytes(), &mut block, FlushCompress::Sync);
        done.expect("memory takes four bytes");
        block
    }
}

fn dictionary() -> Vec<u8> {
    let mut dictionary = Vec::with_capacity(WINDOW);
    for word in WORDS.split(' ') {
        let word = word.replace('_', " ");
        dictionary.extend(u32::try_from(word.len()).unwrap_or_default().to_be_bytes());
        dictionary.extend(word.bytes());
    }
    dictionary.extend(TEXT.bytes());
    dictionary
}

/// The number of headers, then each name and value with its length before it.
fn parse(mut text: &[u8]) -> Option<Headers> {
    let count = number(&mut text)?;
    let mut headers = Headers::new();
    for _ in 0..count {
        let name = word(&mut text)?;
        headers.insert(name, word(&mut text)?);
    }
    Some(headers)
}

fn number(text: &mut &[u8]) -> Option<u32> {
    let (bytes, rest) = text.split_first_chunk()?;
    *text = rest;
    Some(u32::from_be_bytes(*bytes))
}

fn word(text: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(number(text)?).ok()?;
    let (word, rest) = text.split_at_checked(length)?;
    *text = rest;
    String::from_utf8(word.to_vec()).ok()
}

#[cfg(test)]
mod tests;
