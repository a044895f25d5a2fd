//! What does hashing cost per byte, and what do the digests of the pieces add?
//!
//! A publish hashes every byte twice: for the artifact and for its piece of 4 MiB. If the second digest costs as much
//! as the first, the two are worth computing on two cores; these figures say what a publish can reach at best.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use headwater::model::{Digest, Digester, PIECE_BYTES};

/// Three pieces and a bit, so that the last piece is a short one.
const INPUT_BYTES: usize = (12 << 20) + 4321;

/// How much is hashed at a time: about what one read delivers.
const CHUNK_BYTES: usize = 256 << 10;

fn whole(input: &[u8]) -> Digest {
    let mut digester = Digester::new();
    for chunk in input.chunks(CHUNK_BYTES) {
        digester.update(chunk);
    }
    digester.finish()
}

fn whole_and_pieces(input: &[u8]) -> (Digest, Vec<Digest>) {
    let mut digester = Digester::new();
    let piece_bytes = usize::try_from(PIECE_BYTES).unwrap_or(usize::MAX);
    let pieces = input.chunks(piece_bytes).map(|piece| {
        let mut of_piece = Digester::new();
        for chunk in piece.chunks(CHUNK_BYTES) {
            digester.update(chunk);
            of_piece.update(chunk);
        }
        of_piece.finish()
    });
    let pieces = pieces.collect();
    (digester.finish(), pieces)
}

fn digest(criterion: &mut Criterion) {
    let input: Vec<u8> = (0..INPUT_BYTES)
        .map(|index| index.to_le_bytes()[0])
        .collect();
    let mut group = criterion.benchmark_group("digest");
    group.throughput(Throughput::Bytes(INPUT_BYTES as u64));
    group.sample_size(20);
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(3));
    group.bench_function("whole", |bencher| bencher.iter(|| whole(black_box(&input))));
    group.bench_function("whole and pieces", |bencher| {
        bencher.iter(|| whole_and_pieces(black_box(&input)));
    });
    group.finish();
}

criterion_group!(benches, digest);
criterion_main!(benches);
