use super::*;
use std::path::PathBuf;

/// A folder of its own, removed with the value.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("dvrd-reload-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.0.join(file);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_has_changed_when_it_is_another_one_and_rests() {
    let dir = Dir::new("watched");
    let path = dir.write("a", "1");
    let (mut file, now) = (Watched::new(&path), Instant::now());
    assert_eq!([file.changed(now), file.changed(now)], [false, false]);
    // Written in several steps: told once, after the last.
    for text in ["12", "123", "1234"] {
        dir.write("a", text);
        assert!(!file.changed(now));
    }
    assert_eq!([file.changed(now), file.changed(now), file.changed(now)], [true, false, false]);
    // As editors do it: another file of the same length gets its name.
    let other = dir.write("b", "abcd");
    std::fs::rename(other, &path).unwrap();
    assert_eq!([file.changed(now), file.changed(now), file.changed(now)], [false, true, false]);
    // Gone and back between two looks, and gone for longer.
    std::fs::remove_file(&path).unwrap();
    assert_eq!([file.changed(now), file.changed(now), file.changed(now)], [false, true, false]);
    dir.write("a", "abcd");
    assert_eq!([file.changed(now), file.changed(now), file.changed(now)], [false, true, false]);
}

#[test]
fn a_file_that_never_rests_is_read_once_a_second() {
    let dir = Dir::new("restless");
    let path = dir.write("a", "");
    let (mut file, start) = (Watched::new(&path), Instant::now());
    // 16 looks, each of which finds it longer.
    let read = (1..=16).map(|n| {
        dir.write("a", &"x".repeat(n));
        file.changed(start + LOOK * n as u32)
    });
    let read: Vec<usize> = read.enumerate().filter(|(_, read)| *read).map(|(n, _)| n + 1).collect();
    assert_eq!(read, [5, 10, 15], "four looks after the one that noticed it");
}

/// As a folder of links that is switched whole.
#[test]
fn a_link_that_leads_elsewhere_is_another_file() {
    let dir = Dir::new("link");
    let (first, second, link) = (dir.write("1", "a"), dir.write("2", "b"), dir.0.join("a"));
    std::os::unix::fs::symlink(&first, &link).unwrap();
    let (mut file, now) = (Watched::new(&link), Instant::now());
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&second, &link).unwrap();
    assert_eq!([file.changed(now), file.changed(now), file.changed(now)], [false, true, false]);
}

const CLOUD: &str = include_str!("../../../../pcap-fixtures/T/cloud.json");

fn config(host: &str) -> String {
    let nic = |name: &str| format!("[[physical_networks]]\nname = \"{name}\"\ninterface = \"{name}\"\n");
    format!("host = \"{host}\"\n[underlay]\ninterface = \"und0\"\n{}{}", nic("physnet1"), nic("physext"))
}

/// What comes within five seconds.
#[track_caller]
fn comes(reload: &mut Reload, mut asked: bool) -> Said {
    let start = Instant::now();
    loop {
        if let Some(said) = reload.look(std::mem::take(&mut asked)) {
            return said;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "nothing is read");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
fn nothing_comes(reload: &mut Reload) {
    let start = Instant::now();
    while start.elapsed() < 4 * LOOK {
        assert!(reload.look(false).is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn files_are_read_when_they_change_and_when_somebody_asks() {
    let dir = Dir::new("files");
    let (toml, json) = (dir.write("dvrd.toml", &config("H1")), dir.write("cloud.json", CLOUD));
    let mut reload = Reload::new(Files::new(&toml, &json));
    nothing_comes(&mut reload);
    assert_eq!(comes(&mut reload, true).unwrap().0.host, "H1");
    nothing_comes(&mut reload);
    dir.write("dvrd.toml", &config("H2"));
    assert_eq!(comes(&mut reload, false).unwrap().0.host, "H2");
    // Each is checked, and both together.
    dir.write("dvrd.toml", &(config("H1") + "[workers]\ncount = 99\n"));
    let wrong = comes(&mut reload, false).unwrap_err();
    assert!(wrong.to_string().contains("dvrd.toml:11") && wrong.to_string().contains("count"), "{wrong}");
    dir.write("dvrd.toml", &config("H9"));
    assert!(comes(&mut reload, false).unwrap_err().to_string().contains("H9"));
    dir.write("dvrd.toml", &config("H1"));
    dir.write("cloud.json", &CLOUD.replacen("\"underlay_mtu\": 1500", "\"underlay_mtu\": \"much\"", 1));
    let wrong = comes(&mut reload, false).unwrap_err();
    assert!(wrong.to_string().contains("cloud.json") && wrong.to_string().contains("/hosts/0/underlay_mtu"), "{wrong}");
    dir.write("cloud.json", CLOUD);
    assert!(comes(&mut reload, false).is_ok());
    nothing_comes(&mut reload);
}
