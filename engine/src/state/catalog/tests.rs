use super::*;
use crate::event::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

fn version(name: &str, digest: &str, created: i64) -> VersionRecord {
    VersionRecord {
        name: name.to_owned(),
        digest: digest.to_owned(),
        station: Station::Candidate,
        component: "c0ffee".to_owned(),
        settings: String::new(),
        file: format!("{name}.wasm"),
        size: 1_000,
        created: at(created),
        promoted: None,
        reason: None,
        held: false,
        upcast: None,
    }
}

/// As when the name's file has changed.
fn deploy(catalog: &Catalog, version: VersionRecord) {
    catalog.deploy(version, Order::default(), true).unwrap();
}

/// A line a version: `digest station`.
fn stations(catalog: &Catalog, name: &str) -> Vec<String> {
    let versions = catalog.versions(name).unwrap();
    versions.iter().map(|version| format!("{} {:?}", version.digest, version.station)).collect()
}

/// A line a deployment, the latest first: `id digest action outcome`.
fn deployments(catalog: &Catalog, name: &str) -> Vec<String> {
    let deployments = catalog.deployments_of(name, 100).unwrap();
    let line = |record: &DeploymentRecord| {
        assert_eq!(record.ended.is_none(), record.outcome == DeploymentOutcome::Replaying);
        format!("{} {} {:?} {:?}", record.id, record.digest, record.action, record.outcome)
    };
    deployments.iter().map(line).collect()
}

#[test]
fn a_version_goes_its_way() {
    let catalog = Catalog::in_memory().unwrap();
    let replay = Some(Replay { micros: 5_000, events: 42 });
    deploy(&catalog, version("churn", "one", 1));
    assert_eq!(stations(&catalog, "churn"), ["one Candidate"]);
    assert!(catalog.live("churn").unwrap().is_none());
    catalog.promote("churn", "one", at(2), replay).unwrap();
    assert_eq!(catalog.live("churn").unwrap().unwrap().promoted, Some(at(2)));

    deploy(&catalog, version("churn", "two", 3));
    assert_eq!(stations(&catalog, "churn"), ["one Live", "two Candidate"]);
    deploy(&catalog, version("churn", "three", 4));
    assert_eq!(stations(&catalog, "churn"), ["one Live", "two Retired", "three Candidate"]);
    catalog.promote("churn", "three", at(5), None).unwrap();
    assert_eq!(stations(&catalog, "churn"), ["one Standby", "two Retired", "three Live"]);

    deploy(&catalog, version("churn", "four", 6));
    catalog.fail("churn", "four", "it loops", at(7), replay).unwrap();
    catalog.promote("churn", "one", at(8), None).unwrap();
    assert_eq!(stations(&catalog, "churn"), ["one Live", "two Retired", "three Standby", "four Failed"]);
    assert!(catalog.retire("churn", at(9)).unwrap());
    assert!(!catalog.retire("churn", at(9)).unwrap());
    catalog.resume("churn", "one", at(10)).unwrap();
    assert_eq!(stations(&catalog, "churn")[0], "one Live");
    assert_eq!(
        deployments(&catalog, "churn"),
        [
            "7 one Resume Promoted",
            "6 one Retire Retired",
            "5 one RollBack Promoted",
            "4 four Deploy Failed { reason: \"it loops\" }",
            "3 three Deploy Promoted",
            "2 two Deploy Superseded",
            "1 one Deploy Promoted",
        ]
    );
    let first = catalog.deployments(100).unwrap().pop().unwrap();
    assert_eq!((first.when, first.ended), (at(1), Some(at(2))));
    assert_eq!((first.replay_micros, first.events), (Some(5_000), Some(42)));
}

#[test]
fn at_most_one_version_of_a_name_is_live() {
    let catalog = Catalog::in_memory().unwrap();
    let digests = ["a", "b", "c"];
    for (second, digest) in (0..).zip(digests) {
        deploy(&catalog, version("churn", digest, second));
        catalog.promote("churn", digest, at(second), None).unwrap();
    }
    // Any of the three, in an order that has nothing to say.
    for step in 0..30_i64 {
        let digest = digests[(step * step % 7 % 3) as usize];
        catalog.promote("churn", digest, at(10 + step), None).unwrap();
        let live: Vec<_> = stations(&catalog, "churn");
        let live: Vec<_> = live.iter().filter(|line| line.ends_with("Live")).collect();
        assert_eq!(live, [&format!("{digest} Live")]);
    }
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let catalog = Catalog::in_memory().unwrap();
    let refused = |result: Result<(), StateError>| result.unwrap_err().to_string();
    assert_eq!(
        refused(catalog.promote("churn", "one", at(1), None)),
        "the catalog cannot promote version one of \"churn\": it does not know that version"
    );
    deploy(&catalog, version("churn", "one", 1));
    assert!(refused(catalog.resume("churn", "one", at(2))).contains("it is not retired"));
    assert!(refused(catalog.set_station("churn", "one", Station::Live)).contains("stand by"));
    catalog.fail("churn", "one", "it traps", at(2), None).unwrap();
    assert!(refused(catalog.promote("churn", "one", at(3), None)).contains("it has failed"));
    assert_eq!(stations(&catalog, "churn"), ["one Failed"]);
    assert_eq!(catalog.version("churn", "one").unwrap().unwrap().reason.as_deref(), Some("it traps"));

    deploy(&catalog, version("churn", "two", 4));
    catalog.promote("churn", "two", at(5), None).unwrap();
    catalog.promote("churn", "two", at(7), None).unwrap();
    assert_eq!(deployments(&catalog, "churn").len(), 2);
    // One whose code or state was lost begins anew.
    deploy(&catalog, version("churn", "two", 8));
    assert_eq!(catalog.live("churn").unwrap(), None);
}

#[test]
fn names_do_not_mix_and_forgetting_keeps_the_records() {
    let catalog = Catalog::in_memory().unwrap();
    for name in ["churn", "churns", "chur"] {
        deploy(&catalog, version(name, "one", 1));
    }
    assert_eq!(catalog.names().unwrap(), ["chur", "churn", "churns"]);
    catalog.promote("churn", "one", at(2), None).unwrap();
    assert_eq!(stations(&catalog, "churns"), ["one Candidate"]);
    assert_eq!(deployments(&catalog, "churn"), ["1 one Deploy Promoted"]);

    catalog.forget("churns", "one", at(3)).unwrap();
    assert_eq!(catalog.names().unwrap(), ["chur", "churn"]);
    assert_eq!(deployments(&catalog, "churns"), ["2 one Deploy Superseded"]);
    let ids: Vec<_> = catalog.deployments(2).unwrap().iter().map(|record| record.id).collect();
    assert_eq!(ids, [3, 2]);
}

#[test]
fn every_change_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("catalog.redb"), folder.path().join("copy.redb"));
    let catalog = Catalog::open(&path).unwrap();
    assert!(matches!(Catalog::open(&path), Err(StateError::InUse { .. })));
    let one = version("churn", "one", 1);
    deploy(&catalog, one.clone());
    catalog.promote("churn", "one", at(2), None).unwrap();
    // The file as a kill would leave it now.
    std::fs::copy(&path, &copy).unwrap();
    let copied = Catalog::open(&copy).unwrap();
    let live = VersionRecord { station: Station::Live, promoted: Some(at(2)), ..one };
    assert_eq!(copied.live("churn").unwrap(), Some(live));
    assert_eq!(deployments(&copied, "churn"), ["1 one Deploy Promoted"]);
}

#[test]
fn a_replay_over_a_restart_is_one() {
    let catalog = Catalog::in_memory().unwrap();
    deploy(&catalog, version("churn", "one", 1));
    let begin = |digest, events, second| catalog.begin_replay("churn", digest, events, at(second)).unwrap();
    assert_eq!(begin("one", 0, 2), Replay::default());
    assert_eq!(begin("one", 30, 7), Replay { micros: 5_000_000, events: 30 });
    // The clock was set back, and the state was damaged and begun anew.
    assert_eq!(begin("one", 0, 1), Replay::default());
    catalog.promote("churn", "one", at(9), None).unwrap();
    // What it had folded when its next deployment began belongs to the one before.
    deploy(&catalog, version("churn", "one", 10));
    assert_eq!(begin("one", 100, 11), Replay::default());
    assert_eq!(begin("one", 107, 12), Replay { micros: 1_000_000, events: 7 });
    assert_eq!(begin("none", 5, 12), Replay::default());
}

#[test]
fn a_version_that_was_live_stands_by_again_when_its_deployment_is_aborted() {
    let catalog = Catalog::in_memory().unwrap();
    for (digest, second) in [("one", 1), ("two", 3)] {
        deploy(&catalog, version("churn", digest, second));
        catalog.promote("churn", digest, at(second + 1), None).unwrap();
    }
    for held in [true, false] {
        let again = VersionRecord { held, ..version("churn", "one", 5) };
        catalog.deploy(again, Order::default(), false).unwrap();
        assert_eq!(catalog.version("churn", "one").unwrap().unwrap().promoted, Some(at(2)));
        assert!(
            !catalog.abort("churn", "one", at(6), Order::default()).unwrap(),
            "its state would be deleted"
        );
        assert_eq!(stations(&catalog, "churn"), ["two Live", "one Standby"]);
    }
    // Nor is its state deleted when something newer comes instead.
    deploy(&catalog, version("churn", "one", 7));
    deploy(&catalog, version("churn", "three", 8));
    assert_eq!(stations(&catalog, "churn"), ["two Live", "one Standby", "three Candidate"]);

    // The state of one that has failed is deleted before it is deployed again.
    deploy(&catalog, version("churn", "one", 9));
    catalog.fail("churn", "one", "it traps", at(10), None).unwrap();
    deploy(&catalog, version("churn", "one", 11));
    assert!(catalog.abort("churn", "one", at(12), Order::default()).unwrap());
    assert_eq!(stations(&catalog, "churn"), ["two Live", "three Retired"]);
}

/// A kill finds both or neither: a version that retired while its file was noted as there would
/// not be put back into service by the file that is back.
#[test]
fn that_a_file_is_gone_is_noted_with_what_retires() {
    let catalog = Catalog::in_memory().unwrap();
    deploy(&catalog, version("churn", "one", 1));
    catalog.promote("churn", "one", at(2), None).unwrap();
    assert_eq!(catalog.file("churn").unwrap().as_deref(), Some("one"));
    assert!(catalog.retire("churn", at(3)).unwrap());
    assert_eq!(stations(&catalog, "churn"), ["one Retired"]);
    assert_eq!(catalog.file("churn").unwrap(), None);
}
