//! A running program on folders of its own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Answer, Client, components, program, wait};

/// The program, serving. Killed when dropped; its folders go with it.
pub struct Server {
    folder: TempDir,
    arguments: Vec<String>,
    child: Option<Child>,
    client: Client,
}

impl Server {
    /// Starts the program in a new folder, with no plug-ins.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with more arguments to `serve`.
    #[track_caller]
    pub fn start_with(arguments: &[&str]) -> Self {
        let mut server = Self::stopped();
        server.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        server.restart();
        server
    }

    /// Its folders, but not the program yet: for what happens before it starts.
    #[track_caller]
    pub fn stopped() -> Self {
        let folder =
            tempfile::Builder::new().prefix("projectionist-test-").tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("plugins")).expect("a folder within it");
        Self { folder, arguments: Vec::new(), child: None, client: Client::new("http://127.0.0.1:1") }
    }

    /// Starts it again on the same folders, and waits until it answers.
    #[track_caller]
    pub fn restart(&mut self) {
        self.launch();
        let data = self.data();
        let url = wait::until("the server announces itself", || {
            self.assert_running();
            announced(&data, self.child.as_ref()?.id())
        });
        self.client = Client::new(&url);
        wait::until_true("the server answers", || {
            self.assert_running();
            self.client.send("GET", "/healthz", &[], &[]).is_ok()
        });
    }

    /// Starts it again without waiting for anything.
    #[track_caller]
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(self.log_file()).expect("a log file");
        let mut command = program::command();
        command.arg("serve").args(["--listen", "127.0.0.1:0"]);
        command.arg("--data").arg(self.data()).arg("--plugins").arg(self.plugins()).args(&self.arguments);
        command.env("PROJECTIONIST_LOG", "info,wasmtime=warn,cranelift=warn").current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        self.child = Some(command.spawn().expect("the program starts"));
    }

    /// Kills it without any warning (kill -9).
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end (SIGTERM) and waits until it has; gives whether it ended well.
    pub fn stop(&mut self) -> bool {
        let Some(mut child) = self.child.take() else { return true };
        let asked = Command::new("kill").arg(child.id().to_string()).status();
        assert!(asked.is_ok_and(|status| status.success()), "could not send SIGTERM");
        wait::until("the server ends", || child.try_wait().expect("its status")).success()
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Its process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// How much memory it holds now, where the system tells (Linux).
    pub fn memory(&self) -> Option<u64> {
        program::memory(self.id()?)
    }

    /// The folder that everything of this server lies in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The plug-ins folder.
    pub fn plugins(&self) -> PathBuf {
        self.folder.path().join("plugins")
    }

    /// The file of a plug-in in the plug-ins folder.
    pub fn plugin_file(&self, name: &str) -> PathBuf {
        self.plugins().join(format!("{name}.wasm"))
    }

    /// Drops in a plug-in as built.
    #[track_caller]
    pub fn drop_in(&self, name: &str) {
        components::put(&self.plugin_file(name), &components::bytes(name));
    }

    /// Writes a plug-in's settings file, in one step.
    #[track_caller]
    pub fn configure(&self, name: &str, settings: &str) {
        components::put(&self.plugin_file(name).with_extension("toml"), settings.as_bytes());
    }

    /// HTTP to it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.client.get(path)
    }

    /// A command of the program that talks to this server.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> program::Ended {
        let mut command = program::command();
        command.env("PROJECTIONIST_URL", self.client.url()).current_dir(self.folder.path()).args(arguments);
        program::end(&mut command)
    }

    /// The position of the log's last event.
    #[track_caller]
    pub fn head(&self) -> u64 {
        let newest = self.get("/events?reverse=true&limit=1").ok();
        newest["events"][0]["position"].as_u64().unwrap_or(0)
    }

    /// A plug-in's status, once the server knows the plug-in.
    #[track_caller]
    pub fn status(&self, name: &str) -> Option<Value> {
        let answer = self.get(&format!("/projections/{name}"));
        match answer.status {
            404 => None,
            _ => Some(answer.ok()),
        }
    }

    /// Waits until a plug-in's status is as it should be; gives the status.
    #[track_caller]
    pub fn until_status(&self, name: &str, what: &str, mut is: impl FnMut(&Value) -> bool) -> Value {
        let mut last = None;
        let started = wait::now();
        loop {
            if let Some(status) = self.status(name) {
                if is(&status) {
                    return status;
                }
                last = Some(status);
            }
            if started.elapsed() > wait::PATIENCE {
                panic!("waited in vain until {name} {what}; its last status: {last:#?}");
            }
            thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Waits until a plug-in's live version is at the log's head; gives the status.
    #[track_caller]
    pub fn until_live(&self, name: &str) -> Value {
        let head = self.head();
        self.until_status(name, &format!("is live at {head}"), |status| {
            status["health"] == "ok" && status["position"].as_u64().is_some_and(|position| position >= head)
        })
    }

    /// Waits until another version than this one is live at the log's head.
    #[track_caller]
    pub fn until_other_version(&self, name: &str, version: &str) -> Value {
        self.until_status(name, "has another live version", |status| {
            status["live"].as_str().is_some_and(|live| live != version)
        });
        self.until_live(name)
    }

    /// Waits until a plug-in has failed, halted or whatever else; gives the status.
    #[track_caller]
    pub fn until_health(&self, name: &str, health: &str) -> Value {
        self.until_status(name, &format!("is {health}"), |status| status["health"] == health)
    }

    /// The digest of a live version's state at the log's head.
    #[track_caller]
    pub fn state_digest(&self, name: &str) -> String {
        let status = self.until_live(name);
        live(&status)["state"]["digest"].as_str().expect("a digest").to_owned()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    #[track_caller]
    fn assert_running(&mut self) {
        assert!(self.is_running(), "the server has ended by itself");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            println!("the end of the server's log:\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}

/// Where a server says that it listens.
fn announced(data: &Path, process: u32) -> Option<String> {
    let document: Value = serde_json::from_slice(&fs::read(data.join("server.json")).ok()?).ok()?;
    (document["pid"].as_u64() == Some(process.into())).then(|| document["url"].as_str().map(str::to_owned))?
}

/// The live one of a plug-in's versions.
#[track_caller]
pub fn live(status: &Value) -> &Value {
    let versions = status["versions"].as_array().into_iter().flatten();
    let live = versions.into_iter().find(|version| version["station"] == "live");
    live.unwrap_or_else(|| panic!("there is no live version: {status:#}"))
}
