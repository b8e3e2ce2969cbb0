//! What is decided about versions of which there are records, runners or files already.

use std::{path::Path, time::Duration};

use projectionist_test_guests::component_bytes;

use super::*;
use crate::{
    deploy::{Action, candidate::Stage},
    log::MemoryLog,
    plugin::HostSettings,
};

const NAME: &str = "counts";
const PATIENCE: Duration = Duration::from_secs(120);

fn context(data: &Path) -> Arc<Context> {
    Arc::new(Context {
        host: Host::new(HostSettings::default()).unwrap(),
        scheduler: Scheduler::new(1).unwrap(),
        log: Arc::new(MemoryLog::default()),
        catalog: Catalog::in_memory().unwrap(),
        store: Store::new(data, 1 << 20),
        upcasters: Default::default(),
        snapshotting: Arc::new(Semaphore::new(1)),
        folds: Default::default(),
    })
}

/// As in a process that has just started: with what the one before has left.
async fn started(context: &Arc<Context>) -> Supervisor {
    let (_, mailbox) = mpsc::unbounded_channel();
    let view = Arc::new(View::default());
    let mut supervisor = Supervisor::new(NAME, Arc::clone(context), view, mailbox);
    supervisor.recover().await.unwrap();
    supervisor
}

/// Ends it as its process would end, with all that it has open.
async fn ended(mut supervisor: Supervisor) {
    supervisor.close().await;
    let live = supervisor.view.get().live.map(|live| Arc::downgrade(live.state()));
    drop(supervisor);
    let closing = async {
        // Tasks that were aborted let go of it at their next turn.
        while live.as_ref().is_some_and(|live| live.strong_count() > 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, closing).await.expect("the state is closed");
}

/// The files of the plug-ins folder.
fn files(settings: &str) -> Sighting {
    let wasm = component_bytes("counts");
    Sighting {
        name: NAME.to_owned(),
        path: "plugins/counts.wasm".into(),
        wasm,
        settings: settings.to_owned(),
    }
}

fn digest_of(sighting: &Sighting) -> String {
    version_digest(&sighting.wasm, &Settings::parse(&sighting.settings).unwrap())
}

/// Until no candidate is on its way any more.
async fn settle(supervisor: &mut Supervisor) {
    let is_moving = |one: &Candidate| matches!(one.stage, Stage::Loading(_) | Stage::Replaying(_));
    let settling = async {
        while supervisor.candidates.iter().any(is_moving) {
            let (index, news) = Candidate::news(&mut supervisor.candidates, NAME).await;
            supervisor.act_on(index, news).await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, settling).await.expect("the candidates settle");
}

/// The digests of those that run beside the live one.
fn candidates(supervisor: &Supervisor) -> Vec<&str> {
    supervisor.candidates.iter().map(|candidate| &*candidate.digest).collect()
}

fn live(supervisor: &Supervisor) -> Option<String> {
    let live = supervisor.live_digest();
    assert_eq!(live, supervisor.context.catalog.live(NAME).unwrap().map(|live| live.digest));
    live
}

fn wish(action: Action) -> Wish {
    Wish { action, version: None, plan: None, order: Order::default() }
}

#[tokio::test]
async fn a_settings_file_that_is_touched_leaves_one_runner_of_what_is_on_trial() {
    let data = tempfile::tempdir().unwrap();
    let mut supervisor = started(&context(data.path())).await;
    supervisor.found(files("")).await.unwrap();
    settle(&mut supervisor).await;
    let first = live(&supervisor);
    assert_eq!(first, Some(digest_of(&files(""))));

    let trial = files("policies = { deploy = \"manual\" }\nvalues = { step = 2 }");
    // Once as it is being compiled, once as it follows the log.
    for touch in ["# touched", "# touched again"] {
        supervisor.found(trial.clone()).await.unwrap();
        let touched = Sighting { settings: format!("{}\n{touch}", trial.settings), ..trial.clone() };
        supervisor.found(touched.clone()).await.unwrap();
        assert_eq!(candidates(&supervisor), [digest_of(&trial)]);
        assert_eq!(supervisor.candidates[0].settings, touched.settings);
        settle(&mut supervisor).await;
        assert!(matches!(&*supervisor.candidates, [Candidate { held: true, stage: Stage::OnTrial(_), .. }]));
        let failed = supervisor.view.get().failed;
        assert_eq!(failed.map(|failed| failed.reason), None);
    }
    assert_eq!(live(&supervisor), first);
    supervisor.carry_out(wish(Action::Promote)).await.unwrap();
    assert_eq!(live(&supervisor), Some(digest_of(&trial)));
    assert!(supervisor.candidates.is_empty());
    supervisor.close().await;
}

#[tokio::test]
async fn a_promotion_that_has_to_wait_for_the_candidate_is_carried_out_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let context = context(data.path());
    let mut supervisor = started(&context).await;
    supervisor.found(files("")).await.unwrap();
    settle(&mut supervisor).await;
    let trial = files("policies = { deploy = \"manual\" }\nvalues = { step = 2 }");
    supervisor.found(trial.clone()).await.unwrap();
    assert!(supervisor.candidates[0].held);
    supervisor.carry_out(wish(Action::Promote)).await.unwrap();
    assert_eq!(live(&supervisor), Some(digest_of(&files(""))), "it has yet to catch up");
    ended(supervisor).await;

    let mut supervisor = started(&context).await;
    // The start sees the file, which is no wish of anybody's to try it first.
    supervisor.found(trial.clone()).await.unwrap();
    settle(&mut supervisor).await;
    assert_eq!(live(&supervisor), Some(digest_of(&trial)));
    supervisor.close().await;
}

/// A kill between the two leaves a version that something newer was put in the place of: there are
/// a version that has retired and a candidate, and none that answers.
#[tokio::test]
async fn what_is_on_its_way_is_not_purged() {
    let data = tempfile::tempdir().unwrap();
    let context = context(data.path());
    let supervisor = started(&context).await;
    let (old, new) = (files(""), files("values = { step = 2 }"));
    for (sighting, from_file) in [(&old, true), (&new, false)] {
        let digest = digest_of(sighting);
        supervisor
            .record_deployment(
                sighting,
                Identity::plain(digest.clone(), String::new()),
                false,
                Order::default(),
                from_file,
            )
            .unwrap();
    }
    drop(supervisor);

    let mut supervisor = started(&context).await;
    assert!(supervisor.view.get().retired);
    assert_eq!(candidates(&supervisor), [digest_of(&new)]);
    assert!(matches!(supervisor.purge().await, Err(PurgeError::InUse { .. })));
    assert_eq!(context.catalog.versions(NAME).unwrap().len(), 2);
    settle(&mut supervisor).await;
    assert_eq!(live(&supervisor), Some(digest_of(&new)));
    assert!(matches!(supervisor.purge().await, Err(PurgeError::InUse { .. })));
    supervisor.close().await;
}

#[tokio::test]
async fn nothing_is_done_with_what_is_retired() {
    let data = tempfile::tempdir().unwrap();
    let context = context(data.path());
    let mut supervisor = started(&context).await;
    for settings in ["", "values = { step = 2 }"] {
        supervisor.found(files(settings)).await.unwrap();
        settle(&mut supervisor).await;
    }
    supervisor.gone().await.unwrap();
    let before = context.catalog.versions(NAME).unwrap();
    let other = files("values = { step = 3 }");
    for held in [true, false] {
        let refused = supervisor.deliver(other.clone(), Order::default(), held).await;
        assert!(matches!(refused, Err(OrderError::Retired { .. })));
    }
    // The first one stands by still.
    let refused = supervisor.carry_out(wish(Action::RollBack)).await;
    assert!(matches!(refused, Err(OrderError::Retired { .. })));
    assert_eq!(context.catalog.versions(NAME).unwrap(), before);
    assert!(supervisor.candidates.is_empty());
    // Now that nothing runs, all of it can go.
    supervisor.purge().await.unwrap();
    assert_eq!(context.catalog.versions(NAME).unwrap(), []);
}

/// The supervisor of an upcaster, as in a process that has just started.
async fn upcaster_started(context: &Arc<Context>) -> Supervisor {
    let (_, mailbox) = mpsc::unbounded_channel();
    let mut upcaster = Supervisor::new("mine", Arc::clone(context), Arc::new(View::default()), mailbox);
    upcaster.recover().await.unwrap();
    upcaster
}

/// It, when its file is there.
async fn employed(context: &Arc<Context>) -> Supervisor {
    let mut upcaster = upcaster_started(context).await;
    let sighting = Sighting {
        name: "mine".to_owned(),
        path: "plugins/mine.wasm".into(),
        wasm: component_bytes("upcasts"),
        settings: "[values]\nfrom = \"a\"\nto = \"b\"".to_owned(),
    };
    upcaster.found(sighting).await.unwrap();
    settle(&mut upcaster).await;
    assert!(upcaster.view.get().upcaster.is_some());
    upcaster
}

#[tokio::test]
async fn what_answers_and_what_is_on_trial_are_made_anew_as_what_they_are() {
    let data = tempfile::tempdir().unwrap();
    let context = context(data.path());
    context.upcasters.complete();
    let mut supervisor = started(&context).await;
    supervisor.found(files("")).await.unwrap();
    settle(&mut supervisor).await;
    let trial = files("policies = { deploy = \"manual\" }\nvalues = { step = 2 }");
    supervisor.found(trial.clone()).await.unwrap();
    settle(&mut supervisor).await;
    let plain = (live(&supervisor), digest_of(&trial));
    assert_eq!(candidates(&supervisor), [&plain.1]);

    let mut upcaster = employed(&context).await;
    supervisor.recast().await.unwrap();
    settle(&mut supervisor).await;
    let versions = || context.catalog.versions(NAME).unwrap();
    let made_with = |digest: &str| {
        let version = versions().into_iter().find(|version| version.digest == digest).unwrap();
        version.upcasters().iter().map(|one| one.name.clone()).collect::<Vec<_>>()
    };
    let anew = (live(&supervisor), candidates(&supervisor)[0].to_owned());
    assert!(anew.0 != plain.0 && anew.1 != plain.1, "{anew:?}");
    assert_eq!(made_with(anew.0.as_ref().unwrap()), ["mine"]);
    assert_eq!(made_with(&anew.1), ["mine"]);
    assert!(matches!(&*supervisor.candidates, [Candidate { held: true, stage: Stage::OnTrial(_), .. }]));
    assert!(versions().iter().all(|version| version.digest != plain.1), "only what answered stands by");
    // The file is the same, and no reason to do anything.
    supervisor.found(trial.clone()).await.unwrap();
    assert_eq!((live(&supervisor), candidates(&supervisor)[0].to_owned()), anew);

    // A process that was killed before it noted that all is done does it again, to no effect.
    context.catalog.set_upcasters(NAME, Some("")).unwrap();
    ended(supervisor).await;
    let mut supervisor = started(&context).await;
    supervisor.recast().await.unwrap();
    supervisor.found(trial.clone()).await.unwrap();
    settle(&mut supervisor).await;
    assert_eq!((live(&supervisor), candidates(&supervisor)), (anew.0, vec![&*anew.1]));
    assert_eq!(context.catalog.deployments_of(NAME, 10).unwrap().len(), 5, "two and two, and one given up");

    upcaster.gone().await.unwrap();
    supervisor.recast().await.unwrap();
    settle(&mut supervisor).await;
    assert_eq!((live(&supervisor), candidates(&supervisor)), (plain.0, vec![&*plain.1]));
    supervisor.close().await;
}

#[tokio::test]
async fn for_want_of_an_upcaster_that_does_not_start_nothing_is_made_anew() {
    let data = tempfile::tempdir().unwrap();
    let context = context(data.path());
    context.upcasters.complete();
    let upcaster = employed(&context).await;
    let mut supervisor = started(&context).await;
    supervisor.found(files("")).await.unwrap();
    settle(&mut supervisor).await;
    let made_with = live(&supervisor);
    assert_ne!(made_with, Some(digest_of(&files(""))));
    ended(supervisor).await;
    ended(upcaster).await;

    // The next process finds nothing of the upcaster but its record.
    let component = context.catalog.live("mine").unwrap().unwrap().component;
    context.store.drop_component(&component);
    context.upcasters.change(|_| Ok::<_, std::convert::Infallible>(Lineup::default())).unwrap();
    let upcaster = upcaster_started(&context).await;
    let mut supervisor = started(&context).await;
    context.upcasters.complete();
    supervisor.lineup_changed().await.unwrap();
    assert!(supervisor.candidates.is_empty(), "nothing is made anew without it");
    assert!(
        supervisor.view.get().failed.unwrap().reason.contains("put mine.wasm into the plug-ins folder again")
    );
    ended(upcaster).await;

    let upcaster = employed(&context).await;
    supervisor.lineup_changed().await.unwrap();
    settle(&mut supervisor).await;
    assert_eq!(live(&supervisor), made_with);
    assert_eq!(context.catalog.deployments_of(NAME, 10).unwrap().len(), 1);
    ended(supervisor).await;
    ended(upcaster).await;
}
