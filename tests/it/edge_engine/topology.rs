//! Layers, the shield, invalidations, and where bodies are kept.
//!
//! Owns E-9, E-12 and E-13 on the wire, and the bound on memory. Never looks at fields.

use std::time::Duration;

use headwater::edge::policy::invalidation::Item;
use http_body_util::BodyExt as _;

use super::rig::{Edge, Gate, MIB, Origin, Setup, head, honest, pattern, reply, until, whole};

async fn get_at(edge: &Edge, pop: usize) -> String {
    let pop = pop.to_string();
    let answer = edge.ask("GET", "/a", &[("x-edge-pop", &pop)]).await;
    assert_eq!(answer.body.len(), 1000);
    answer.x_cache().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_object_costs_one_request_for_each_region_and_one_with_a_shield() {
    // T45, T46.
    const POPS: usize = 60;
    for shield in [None, Some("eu-central-1")] {
        let origin = Origin::start(honest(pattern(1000)));
        let mut setup = Setup::of(&origin);
        setup.topology.pops = POPS;
        setup.topology.shield = shield.map(str::to_owned);
        let edge = setup.start().await;
        let regions = edge.engine.topology().regionals.len();
        let mut seen = Vec::new();
        for pop in 0..POPS {
            seen.push(get_at(&edge, pop).await);
            // Who asks while a layer behind still closes its books reads along with its fill: no hit, though no request.
            until("every fill has ended", || {
                edge.engine.fills_in_flight() == 0
            })
            .await;
            assert_eq!(get_at(&edge, pop).await, "Hit", "{pop}");
        }
        let stats = edge.stats();
        let asked = usize::try_from(stats.books.origin_requests).unwrap();
        assert_eq!(asked, origin.count());
        let extra = usize::try_from(stats.shield_requests).unwrap();
        if shield.is_some() {
            assert_eq!((asked, extra), (1, regions - 1));
            let shield_hits = seen
                .iter()
                .filter(|seen| *seen == "OriginShieldHit")
                .count();
            assert!(shield_hits >= regions - 2, "{seen:?}");
        } else {
            assert_eq!((asked, extra), (regions, 0));
        }
        // Three layers, one copy.
        assert_eq!(edge.engine.memory_bytes(), 1000 * asked as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_clears_every_layer_and_frees_the_bytes() {
    // T47, T58.
    let fields = "Cache-Control: max-age=60\r\nCache-Tag: Red, blue\r\n";
    let origin = Origin::start(move |_, stream| reply(stream, "200 OK", fields, &pattern(1000)));
    let mut setup = Setup::of(&origin);
    setup.topology.pops = 3;
    let edge = setup.start().await;
    for (nth, item) in ["/a", "/*", "#red"].iter().enumerate() {
        assert_eq!(get_at(&edge, 1).await, "Miss", "{item}");
        assert_eq!(get_at(&edge, 1).await, "Hit", "{item}");
        assert_eq!(origin.count(), nth + 1);
        let other = Item::parse("/b").unwrap();
        assert_eq!(edge.engine.invalidate(&[other]), 0);
        let dropped = edge.engine.invalidate(&[Item::parse(item).unwrap()]);
        assert_eq!(dropped, 2, "{item}: at the POP and in its region");
        assert_eq!(edge.engine.memory_bytes(), 0, "{item}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_object_with_one_slow_reader_does_not_fill_the_memory() {
    let body = pattern(96 * MIB);
    let origin = Origin::start(honest(body.clone()));
    let mut setup = Setup::of(&origin);
    setup.memory_object_max = MIB as u64;
    setup.memory_max = 8 * MIB as u64;
    let edge = setup.start().await;
    let mut slow = edge.open("GET", "/a", &[]).await;
    let mut came = Vec::new();
    let mut most = 0;
    while let Some(frame) = slow.body_mut().frame().await {
        came.extend_from_slice(frame.unwrap().data_ref().unwrap());
        most = most.max(edge.engine.memory_bytes());
    }
    assert!(came == body);
    assert!(most <= 8 * MIB as u64, "{most}");
    let hit = edge.get("/a").await;
    assert_eq!(hit.x_cache(), "Hit");
    assert!(hit.body == body);
    assert!(edge.engine.memory_bytes() <= MIB as u64);
    let part = edge.get_range("/a", "bytes=50000000-50000009").await;
    assert!(part.body == body[50_000_000..=50_000_009]);
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_beyond_the_budget_move_to_the_file_and_are_still_hits() {
    let origin = Origin::start(honest(pattern(MIB)));
    let mut setup = Setup::of(&origin);
    setup.memory_max = 8 * MIB as u64;
    let edge = setup.start().await;
    for nth in 0..40 {
        assert_eq!(edge.get(&format!("/{nth}")).await.x_cache(), "Miss");
    }
    for nth in 0..40 {
        let hit = edge.get(&format!("/{nth}")).await;
        assert_eq!(hit.x_cache(), "Hit", "{nth}");
        assert!(hit.body == pattern(MIB), "{nth}");
    }
    assert!(edge.engine.memory_bytes() <= 9 * MIB as u64);
    assert_eq!(origin.count(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_late_to_a_large_fill_gets_all_of_it() {
    let (body, gate) = (pattern(24 * MIB), Gate::default());
    let origin = Origin::start({
        let (body, gate) = (body.clone(), gate.clone());
        move |_, stream| {
            head(
                stream,
                "200 OK",
                "Cache-Control: max-age=60\r\n",
                body.len(),
            );
            let (now, later) = body.split_at(16 * MIB);
            if std::io::Write::write_all(stream, now).is_err() {
                return false;
            }
            gate.wait();
            std::io::Write::write_all(stream, later).is_ok()
        }
    });
    let mut setup = Setup::of(&origin);
    setup.memory_object_max = MIB as u64;
    let edge = setup.start().await;
    let mut first = edge.open("GET", "/a", &[]).await;
    let mut came = Vec::new();
    while came.len() < 16 * MIB {
        let frame = first.body_mut().frame().await.unwrap().unwrap();
        came.extend_from_slice(frame.data_ref().unwrap());
    }
    // What the late one misses is in the file by now, but for the last megabytes.
    let late = edge.open("GET", "/a", &[]).await;
    gate.open();
    let late = whole(late).await;
    came.extend(whole(first).await.body);
    assert!(late.body == body && came == body);
    assert_eq!((late.x_cache(), origin.count()), ("Hit", 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_evicted_frees_its_bytes() {
    let origin = Origin::start(honest(pattern(100_000)));
    let mut setup = Setup::of(&origin);
    setup.cache.capacity = 350_000;
    let edge = setup.start().await;
    for nth in 0..10 {
        edge.get(&format!("/{nth}")).await;
    }
    assert_eq!(edge.engine.memory_bytes(), 300_000);
    edge.later(Duration::from_secs(1));
    assert_eq!(edge.get("/9").await.x_cache(), "Hit");
    assert_eq!(edge.get("/0").await.x_cache(), "Miss");
}
