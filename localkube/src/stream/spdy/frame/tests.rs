use super::*;

/// What a client sends, in pieces of every size.
#[test]
fn takes_frames_from_pieces() {
    let mut open = BytesMut::new();
    control(&mut open, SYN_STREAM, 12);
    open.put_u32(5);
    open.put_slice(&[0; 6]);
    open.put_slice(b"hi");
    let mut all = open.to_vec();
    all.extend(data(5, false, b"content"));
    all.extend(data(5, true, b""));
    for size in 1..all.len() {
        let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
        for piece in all.chunks(size) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = take(&mut buffer).expect("they are frames") {
                frames.push(frame);
            }
        }
        let expected = [
            Frame::Open { stream: 5, last: false, block: Bytes::from_static(b"hi") },
            Frame::Data { stream: 5, last: false, data: Bytes::from_static(b"content") },
            Frame::Data { stream: 5, last: true, data: Bytes::new() },
        ];
        assert_eq!(frames, expected, "in pieces of {size}");
    }
}

#[test]
fn refuses_other_versions_and_endless_frames() {
    let mut other = BytesMut::from(&[0x80, 2, 0, 1, 0, 0, 0, 0][..]);
    assert_eq!(take(&mut other), Err(Malformed));
    let mut endless = BytesMut::from(&[0, 0, 0, 1, 0, 0xff, 0xff, 0xff][..]);
    assert_eq!(take(&mut endless), Err(Malformed));
    let mut short = BytesMut::from(&[0x80, 3, 0, 3, 0, 0, 0, 2, 0, 0][..]);
    assert_eq!(take(&mut short), Err(Malformed));
}
