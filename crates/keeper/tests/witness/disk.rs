//! What the folder survives, and what refuses the start.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use keeper::witness::{self, Refusal, Trouble};

use crate::log::{Home, Log, only};

fn grown() -> (Log, Home) {
    let log = Log::new("log.example/acme", "a");
    let home = Home::new(&log);
    let witness = home.open();
    witness.add_checkpoint(log.submission(0, 5).as_bytes()).unwrap();
    witness.add_checkpoint(log.submission(5, 7).as_bytes()).unwrap();
    drop(witness);
    (log, home)
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let (log, home) = grown();
    let witness = home.open();
    assert_eq!(
        witness.latest(),
        [(log.key.verifier().name().clone(), Some(log.head(7)))]
    );
    assert!(matches!(
        witness.add_checkpoint(log.submission(0, 9).as_bytes()),
        Err(Refusal::OldSize { latest: 7 })
    ));
    witness.add_checkpoint(log.submission(7, 9).as_bytes()).unwrap();
}

#[test]
fn a_second_process_is_refused() {
    let (_, home) = grown();
    let first = home.open();
    assert_eq!(
        home.refused(),
        format!("`{}` is in use by another process", home.path.display())
    );
    drop(first);
    home.open();
}

/// A process that was stopped between writing the new record and renaming it leaves the old one in use.
#[test]
fn an_interrupted_write_is_cleared_away() {
    let (log, home) = grown();
    let record = home.record();
    let unfinished = record.with_extension("new");
    let whole = fs::read(&record).unwrap();
    for left in [&b""[..], &whole[..whole.len() / 2], &whole[..], &b"\xff\x00garbage"[..]] {
        fs::write(&unfinished, left).unwrap();
        let witness = home.open();
        assert_eq!(witness.latest()[0].1, Some(log.head(7)));
        drop(witness);
        assert_eq!(only(&home.path.join("records")), record);
    }
}

#[test]
fn a_record_that_is_not_whole_refuses_the_start() {
    let (_, home) = grown();
    let record = home.record();
    let whole = fs::read(&record).unwrap();
    let retired = "A witness that lost its state must be retired with its key";
    for cut in 0..whole.len() {
        fs::write(&record, &whole[..cut]).unwrap();
        let refused = home.refused();
        assert!(
            refused.contains("cut off or altered") && refused.ends_with(retired),
            "{cut}: {refused}"
        );
    }
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x01;
        fs::write(&record, &flipped).unwrap();
        assert!(home.refused().contains("records"), "{at}");
    }
    fs::write(&record, [0xff; 64]).unwrap();
    assert!(home.refused().ends_with(retired));
    fs::remove_file(&record).unwrap();
    let refused = home.refused();
    assert!(
        refused.contains("the record of `log.example/acme` is missing") && refused.ends_with(retired),
        "{refused}"
    );
    fs::write(&record, &whole).unwrap();
    home.open();
}

#[test]
fn a_record_under_another_name_is_refused() {
    let (_, home) = grown();
    let record = home.record();
    fs::copy(&record, record.with_file_name("0".repeat(64))).unwrap();
    assert!(
        home.refused()
            .contains("not the record of the log that its name stands for")
    );
}

#[test]
fn a_register_that_is_not_whole_refuses_the_start() {
    let (_, home) = grown();
    let register = home.path.join("witness");
    let whole = fs::read(&register).unwrap();
    for cut in 0..whole.len() {
        fs::write(&register, &whole[..cut]).unwrap();
        assert!(home.refused().contains("must be retired with its key"), "{cut}");
    }
    fs::remove_file(&register).unwrap();
    assert!(home.refused().contains("is not a witness folder"));
}

/// The first record is written before the register: a stop between the two was never answered, and is taken up.
#[test]
fn a_first_record_without_its_register_entry_is_taken_up() {
    let log = Log::new("log.example/acme", "a");
    let home = Home::new(&log);
    let register = home.path.join("witness");
    let before = fs::read(&register).unwrap();
    home.open().add_checkpoint(log.submission(0, 5).as_bytes()).unwrap();
    fs::write(&register, before).unwrap();
    assert_eq!(home.open().latest()[0].1, Some(log.head(5)));
    fs::remove_file(home.record()).unwrap();
    assert!(home.refused().contains("is missing"));
}

#[test]
fn the_state_of_another_key_is_refused() {
    let (log, home) = grown();
    let other = Home::new(&log);
    fs::copy(other.path.join("key"), home.path.join("key")).unwrap();
    assert!(home.refused().contains("belongs to another key"));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let (_, home) = grown();
    let key = home.path.join("key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(home.refused().contains("can be read by others (mode 640)"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "PRIVATE+KEY+witness.example/w1+00000000+AAAA\n").unwrap();
    let refused = home.refused();
    assert!(
        refused.contains("holds no witness key") && !refused.contains("AAAA"),
        "{refused}"
    );
}

#[test]
fn a_used_folder_is_never_started_over() {
    let (_, home) = grown();
    let error = witness::create(&home.path, &home.key).unwrap_err();
    assert_eq!(error.to_string(), format!("`{}` is not empty", home.path.display()));
}

#[test]
fn a_broken_list_of_logs_refuses_the_start() {
    let (_, home) = grown();
    fs::write(home.path.join("logs"), "# fine\nnonsense\n").unwrap();
    assert!(home.refused().starts_with("line 2 of"));
    fs::write(home.path.join("logs"), "# cut").unwrap();
    assert!(home.refused().contains("does not end in a newline"));
    fs::remove_file(home.path.join("logs")).unwrap();
    assert!(home.refused().contains("logs` cannot be read"));
}

/// Each write of a step fails once: nothing is answered, and the state is the one before or goes on from it.
#[test]
fn a_failing_write_is_never_answered() {
    let (log, home) = grown();
    let witness = home.open();
    let record = home.record();
    let blocker = record.with_extension("new");
    fs::create_dir(&blocker).unwrap();
    let refusal = witness.add_checkpoint(log.submission(7, 9).as_bytes()).unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(Trouble::Write(_))), "{refusal}");
    assert_eq!(witness.latest()[0].1, Some(log.head(7)));
    fs::remove_dir(&blocker).unwrap();
    witness.add_checkpoint(log.submission(7, 9).as_bytes()).unwrap();

    // The record of a second log is written, its register entry is not.
    let second = Log::new("log.example/second", "a");
    witness::add_log(&home.path, &second.key.verifier().to_string()).unwrap();
    fs::create_dir(home.path.join("witness.new")).unwrap();
    let refusal = witness.add_checkpoint(second.submission(0, 5).as_bytes()).unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(Trouble::Write(_))), "{refusal}");
    fs::remove_dir(home.path.join("witness.new")).unwrap();
    witness.add_checkpoint(second.submission(0, 6).as_bytes()).unwrap();
    drop(witness);
    assert_eq!(home.open().latest()[1].1, Some(second.head(6)));
}
