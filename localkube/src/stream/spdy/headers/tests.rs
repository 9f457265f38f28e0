use super::*;

/// Two blocks of one connection, packed by zlib with the dictionary.
const FIRST: &str =
    "78f9e3c6a7c202253a48f95b044eea16061606409ab308125f99a074cc68004e892545a989b9d0c2863515141500000000ffff";
const SECOND: &str = "225333a8a44a04000000ffff";

fn block(text: &str) -> Vec<u8> {
    hex::decode(text).expect("it is hexadecimal")
}

fn headers(kind: &str) -> Headers {
    [("port", "8080"), ("requestid", "0"), ("streamtype", kind)].map(|(name, value)| (name.into(), value.into())).into()
}

#[test]
fn reads_blocks_that_refer_to_the_dictionary_and_to_each_other() {
    let mut reader = Reader::new();
    assert_eq!(reader.read(&block(FIRST)), Some(headers("error")));
    assert_eq!(reader.read(&block(SECOND)), Some(headers("data")));
}

#[test]
fn refuses_what_is_no_block() {
    assert_eq!(Reader::new().read(&[]), None);
    assert_eq!(Reader::new().read(&block(FIRST)[..20]), None);
    let mut reader = Reader::new();
    assert!(reader.read(&block(FIRST)).is_some());
    assert_eq!(reader.read(&[0xff; 40]), None);
}

#[test]
fn has_the_dictionary_of_the_protocol() {
    // Adler-32, as the head of every client's first block names it.
    let (mut one, mut two) = (1_u32, 0_u32);
    for byte in dictionary() {
        one = (one + u32::from(byte)) % 65521;
        two = (two + one) % 65521;
    }
    assert_eq!(two << 16 | one, 0xe3c6_a7c2);
}

#[test]
fn writes_blocks_that_zlib_reads_one_by_one() {
    let (mut writer, mut reader) = (Writer::new(), flate2::Decompress::new(true));
    for _ in 0..3 {
        let mut text = Vec::with_capacity(16);
        reader.decompress_vec(&writer.empty(), &mut text, flate2::FlushDecompress::Sync).expect("it is zlib");
        assert_eq!(text, [0; 4]);
    }
}
