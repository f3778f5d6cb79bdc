//! A whole small world, set up through the command line alone: operator, owner, witness, server, people, one target.

use super::running::Running;
use super::target::Target;
use super::{Folder, both, countersign, ok, ssh_key};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// An environment `acme` with resource `web1`, requester `alice`, approver `olga`, owner `bob` and backup `carol`.
pub(crate) struct World {
    // In this order they are dropped: the server first, the folder last.
    pub(crate) server: Running,
    pub(crate) witness: Running,
    pub(crate) target: Target,
    pub(crate) ssh: String,
    pub(crate) api: String,
    pub(crate) log: String,
    pub(crate) host_key: String,
    /// What the server's environment has beside the usual, at each start.
    pub(crate) server_env: Vec<(&'static str, String)>,
    pub(crate) folder: Folder,
}

/// What a server printed.
struct Addresses {
    ssh: String,
    api: String,
    log: String,
    host_key: String,
}

impl World {
    /// With a gate of one witness and a window of at most `window`.
    pub(crate) fn start() -> Self {
        Self::start_with(vec![])
    }

    /// As [`World::start`], the server with this in its environment.
    pub(crate) fn start_with(server_env: Vec<(&'static str, String)>) -> Self {
        let folder = Folder::new();
        let path = folder.path();
        ok(path, "operator init --organisation 'Northwind MSP' --dir northwind");
        ok(path, "witness init --data witness --name w.acme.example");
        let witness = start_witness(path);
        let url = witness.line("serving");
        std::fs::write(folder.join("witness.url"), &url).expect("a file");
        let server = Running::start(server_command(path).envs(server_env.clone()));
        let at = addresses(&server);
        let mut world = Self {
            server,
            witness,
            target: Target::idle(),
            ssh: at.ssh,
            api: at.api,
            log: at.log,
            host_key: at.host_key,
            server_env,
            folder,
        };
        world.found();
        world
    }

    fn found(&mut self) {
        for name in ["alice", "olga", "bob", "carol", "mallory"] {
            ssh_key(self.path(), name, "ed25519");
        }
        let offer = self.ok("environment offer acme");
        std::fs::write(self.folder.join("offer.json"), &offer).expect("a file");
        let offer: serde_json::Value = serde_json::from_str(&offer).expect("an offer");
        let text = |field: &str| offer[field].as_str().expect("text").to_owned();
        let witness = self.ok("witness key --data witness");
        self.ok(&format!(
            "owner init --organisation 'Acme Ltd' --environment acme --offer offer.json \
             --operator northwind/operator.public.json --witness {witness} --gate witnesses:1 --dir acme --yes"
        ));
        self.ok(&format!("witness add-log {} --data witness", text("log_key")));
        self.target = Target::start(&self.folder, "web1", &text("user_ca"), &["cs:acme:web1:root"]);
        self.enrol();
        self.set_up_access("4h");
        let files = ["acme", "northwind"].map(|side| self.trust_files(side)).concat();
        self.ok(&format!("submit {}", files.join(" ")));
    }

    fn enrol(&self) {
        for (name, roles) in [("olga", "approve"), ("bob", "own"), ("carol", "own,approve")] {
            self.ok(&format!(
                "owner enrol {name} --role {roles} --key {name}.pub --dir acme"
            ));
        }
        for name in ["alice", "mallory"] {
            self.ok(&format!(
                "operator enrol {name} --role request --key {name}.pub --environment acme/acme.public.json --dir northwind"
            ));
        }
    }

    fn set_up_access(&self, window: &str) {
        let (port, key) = (self.target.port, Target::host_key("web1"));
        self.ok(&format!(
            "resource add web1 --host 127.0.0.1 --port {port} --account root --host-key {key} --source 127.0.0.1 \
             --environment acme/acme.public.json"
        ));
        self.ok("owner resource web1.resource.json --dir acme --yes");
        self.ok(&format!(
            "owner workflow patching --owner bob --backup carol --purpose 'security patches' --resource web1 \
             --account root --window {window} --dir acme --yes"
        ));
    }

    fn trust_files(&self, side: &str) -> Vec<String> {
        let found = std::fs::read_dir(self.folder.join(side)).expect("a folder");
        let mut names: Vec<String> = found
            .map(|found| format!("{side}/{}", found.expect("a file").file_name().to_string_lossy()))
            .filter(|name| name.ends_with(".trust.jsonl"))
            .collect();
        names.sort();
        names
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The binary, told where this world's server is.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = countersign(self.path());
        command
            .args(super::words(line))
            .env("COUNTERSIGN_SERVER", &self.api)
            .env("COUNTERSIGN_LOG_SERVER", &self.log);
        command
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("the binary runs")
    }

    pub(crate) fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(
            output.status.success(),
            "{line}\n{}\n{}",
            both(&output),
            self.server.said()
        );
        String::from_utf8(output.stdout).expect("text")
    }

    /// Alice asks and olga approves; gives request and grant.
    pub(crate) fn granted(&self, length: &str) -> (String, String) {
        let request = self.ok(&format!(
            "request root@web1.acme --reason 'disk is full' --ticket CHG1 --for {length} --yes --key alice"
        ));
        let request = request.trim().to_owned();
        let decided = self.ok(&format!("approve {request} --yes --json --key olga"));
        let decided: serde_json::Value = serde_json::from_str(&decided).expect("JSON");
        (request, decided["grant"].as_str().expect("a grant").to_owned())
    }

    /// A stock client that logs in with a key of this world's people: `root+web1.acme`, or the gateway itself. An empty
    /// command is a shell.
    pub(crate) fn ssh(&self, key: &str, user: &str, command: &str) -> Command {
        let (host, _) = self.ssh.rsplit_once(':').expect("an address");
        let mut ssh = self.client("ssh", key);
        ssh.args([&format!("{user}@{host}"), command]);
        ssh
    }

    /// `ssh`, `scp` or `sftp` with all options that this world needs; what to reach is still to be said.
    pub(crate) fn client(&self, program: &str, key: &str) -> Command {
        let (host, port) = self.ssh.rsplit_once(':').expect("an address");
        let known = self.folder.join("known_hosts");
        // Another client may read it at this moment: it is replaced as a whole.
        let new = self.folder.join("known_hosts.new");
        std::fs::write(&new, format!("[{host}]:{port} {}\n", self.host_key)).expect("a file");
        std::fs::rename(new, &known).expect("the file in its place");
        let mut client = Command::new(program);
        client.args(["-F", "none", "-i"]).arg(self.folder.join(key));
        for option in ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes"] {
            client.args(["-o", option]);
        }
        client
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", known.display()))
            .arg("-o")
            .arg(format!("Port={port}"))
            .stdin(Stdio::null());
        client
    }

    /// The newest session, as the owner's people see it.
    /// Writes `ssh_config`, as `countersign ssh-config` prints it for alice.
    pub(crate) fn ssh_config(&self) {
        std::fs::create_dir_all(self.folder.join(".ssh")).expect("a folder");
        let line = format!(
            "ssh-config --environment acme/acme.public.json --gateway {} --key {} --gateway-key",
            self.ssh,
            self.folder.join("alice").display()
        );
        let config = self.command(&line).arg(&self.host_key).output().expect("it runs");
        assert!(config.status.success(), "{}", both(&config));
        std::fs::write(self.folder.join("ssh_config"), &config.stdout).expect("a file");
    }

    pub(crate) fn newest_session(&self) -> String {
        let lines = self.ok("sessions --key bob");
        let id = lines.lines().next().and_then(|line| line.split_whitespace().next());
        id.expect("a session").to_owned()
    }

    /// Stops the server with SIGTERM and gives what it said.
    pub(crate) fn restart(&mut self) -> String {
        let stopped = std::mem::replace(&mut self.server, Running::nothing());
        let (status, said) = stopped.terminate();
        assert!(status.success(), "{said}");
        self.start_again();
        said
    }

    /// Starts this world's server.
    pub(crate) fn server_command(&self) -> Command {
        let mut command = server_command(self.path());
        command.envs(self.server_env.clone());
        command
    }

    /// [`World::server_command`], run by another program that becomes it.
    pub(crate) fn server_under(&self, wrapper: &[&str]) -> Command {
        let plain = self.server_command();
        let mut wrapped = Command::new(wrapper.first().expect("a program"));
        wrapped
            .args(wrapper.iter().skip(1))
            .arg(plain.get_program())
            .args(plain.get_args())
            .current_dir(self.path())
            .stdin(Stdio::null());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        wrapped
    }

    /// Starts the server again, on the same folder.
    pub(crate) fn start_again(&mut self) {
        self.start_again_under(&mut self.server_command());
    }

    /// Starts the server again by this command, which is [`World::server_command`] or becomes it.
    pub(crate) fn start_again_under(&mut self, command: &mut Command) {
        self.server = Running::nothing();
        self.server = Running::start(command);
        let at = addresses(&self.server);
        (self.ssh, self.api, self.log) = (at.ssh, at.api, at.log);
    }
}

fn start_witness(path: &Path) -> Running {
    Running::start(countersign(path).args(super::words("witness --data witness --listen 127.0.0.1:0")))
}

pub(crate) fn start_server(path: &Path) -> Running {
    Running::start(&mut server_command(path))
}

fn server_command(path: &Path) -> Command {
    let witness = std::fs::read_to_string(path.join("witness.url")).expect("the witness's address");
    let line = format!(
        "serve --data server --ssh 127.0.0.1:0 --api 127.0.0.1:0 --log 127.0.0.1:0 --public gw.test --witness {witness}"
    );
    let mut command = countersign(path);
    command.args(super::words(&line));
    command
}

fn addresses(server: &Running) -> Addresses {
    let ssh = server.line("gateway");
    Addresses {
        ssh: ssh.split_whitespace().next().expect("an address").to_owned(),
        api: server.line("api"),
        log: server.line("log"),
        host_key: server.line("host key"),
    }
}
