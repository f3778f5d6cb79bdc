//! What to set up on a target so that its sshd takes this environment's certificates, for this resource only.
//!
//! INVARIANT (never the account's name): the principal names environment, resource and account, so a certificate for
//! `root` here is worth nothing on another host.

use super::Form;
use model::name::AccountName;
use model::signature::Key;
use model::statement::Resource;

pub(super) fn print(resource: &Resource, user_ca: &Key, form: Form) -> String {
    let setup = Setup::of(resource, user_ca);
    match form {
        Form::Files => setup.files(),
        Form::Ansible => setup.ansible(),
        Form::CloudInit => setup.cloud_init(),
        Form::All => format!(
            "{}\n# --- the same, for ansible ---\n{}\n# --- the same, for cloud-init ---\n{}",
            setup.files(),
            setup.ansible(),
            setup.cloud_init()
        ),
    }
}

/// Paths and contents.
struct Setup {
    name: String,
    authority: (String, String),
    sshd: (String, String),
    principals: Vec<(String, String)>,
}

impl Setup {
    fn of(resource: &Resource, user_ca: &Key) -> Self {
        let environment = &resource.environment;
        let authority = format!("/etc/ssh/countersign_{environment}_user_ca.pub");
        let exempt = match resource.source_addresses.as_slice() {
            [] => "# OpenSSH 9.8 and newer: PerSourcePenaltyExemptList <the gateway's address>\n".to_owned(),
            addresses => format!(
                "# OpenSSH 9.8 and newer: PerSourcePenaltyExemptList {}\n",
                addresses.join(",")
            ),
        };
        let sshd = format!(
            "TrustedUserCAKeys {authority}\nAuthorizedPrincipalsFile /etc/ssh/countersign_principals/%u\n{exempt}"
        );
        let principal = |account: &AccountName| {
            (
                format!("/etc/ssh/countersign_principals/{account}"),
                format!("cs:{environment}:{}:{account}\n", resource.name),
            )
        };
        Self {
            name: resource.name.to_string(),
            authority: (authority, format!("{user_ca}\n")),
            sshd: ("/etc/ssh/sshd_config.d/50-countersign.conf".into(), sshd),
            principals: resource.accounts.iter().map(principal).collect(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &(String, String)> {
        [&self.authority, &self.sshd].into_iter().chain(&self.principals)
    }

    fn files(&self) -> String {
        let mut text = format!(
            "# Set-up of `{}`. Files belong to root, mode 0644; then: sshd -t && systemctl reload ssh\n\
             # sshd_config must say `Include /etc/ssh/sshd_config.d/*.conf` (Debian and Ubuntu do).\n",
            self.name
        );
        for (path, content) in self.all() {
            text.push_str(&format!("\n# {path}\n{content}"));
        }
        text
    }

    fn ansible(&self) -> String {
        let mut text = String::from(
            "- name: Countersign principals folder\n  ansible.builtin.file:\n    \
             path: /etc/ssh/countersign_principals\n    state: directory\n    owner: root\n    mode: \"0755\"\n",
        );
        for (path, content) in self.all() {
            text.push_str(&format!(
                "- name: Countersign {path}\n  ansible.builtin.copy:\n    dest: {path}\n    owner: root\n    \
                 mode: \"0644\"\n    content: |\n{}",
                indented(content, 6)
            ));
        }
        text.push_str("- name: Take the set-up into use\n  ansible.builtin.shell: sshd -t && systemctl reload ssh\n");
        text
    }

    fn cloud_init(&self) -> String {
        let mut text = String::from("#cloud-config\nwrite_files:\n");
        for (path, content) in self.all() {
            text.push_str(&format!(
                "  - path: {path}\n    owner: root:root\n    permissions: \"0644\"\n    content: |\n{}",
                indented(content, 6)
            ));
        }
        text.push_str("runcmd:\n  - sshd -t && systemctl reload ssh\n");
        text
    }
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{:by$}{line}\n", "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_names_environment_resource_and_account() {
        let key: Key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8oezhyHx2wkkQDVr/9Qx8s0sDPe7vJn3Yq8QqGQ1yd"
            .parse()
            .unwrap();
        let resource = Resource {
            environment: "acme".parse().unwrap(),
            name: "web1".parse().unwrap(),
            host: "10.0.0.5".into(),
            port: 22,
            host_keys: vec![key.clone()],
            accounts: vec!["root".parse().unwrap(), "deploy".parse().unwrap()],
            source_addresses: vec!["192.0.2.1".into()],
            signed_ms: 1,
        };
        let text = print(&resource, &key, Form::Files);
        assert!(
            text.contains("# /etc/ssh/countersign_principals/deploy\ncs:acme:web1:deploy\n"),
            "{text}"
        );
        assert!(text.contains("PerSourcePenaltyExemptList 192.0.2.1\n"), "{text}");
        for form in [Form::Ansible, Form::CloudInit] {
            let text = print(&resource, &key, form);
            assert!(text.contains("      cs:acme:web1:root\n"), "{text}");
        }
    }
}
