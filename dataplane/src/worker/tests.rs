use super::*;
use crate::handoff::Links;
use crate::io::MemoryPort;
use crate::tables::{NeighValue, ip4_key};
use crate::testkit::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn ix(vm: Vm) -> PortIx {
    let Door::Port(ix) = vm.door else { panic!("{vm:?}") };
    ix
}

fn udp_to(from: &Vm, to: &Vm) -> Vec<u8> {
    eth(from.mac, to.mac, ip4(from.ip, to.ip).udp(1000, 2000, b"x"))
}

/// A busy port does not keep the others waiting: after a burst of its frames it is their turn.
#[test]
fn ports_take_turns() {
    let mut rig = Rig::h1();
    let rx = |rig: &Rig, vm: &Vm| rig.worker.counters().port(vm.door).rx.get();
    for _ in 0..100 {
        rig.inject(A1.door, &udp_to(&A1, &B1));
    }
    for _ in 0..3 {
        rig.inject(B1.door, &udp_to(&B1, &A1));
        rig.inject(A3.door, &udp_to(&A3, &A1));
    }
    let mut turns = 0;
    while rx(&rig, &B1) + rx(&rig, &A3) < 6 {
        assert!(rig.worker.poll_all() > 0);
        turns += 1;
    }
    assert!(turns <= 2, "{turns} turns");
    while rig.worker.poll_all() > 0 {}
    assert_eq!((rx(&rig, &A1), rx(&rig, &B1), rx(&rig, &A3)), (100, 3, 3));
}

/// Works on a thread of its own: ports come and go by its letter box, and it stops when told to.
#[test]
fn a_running_worker_takes_ports_gives_them_up_and_stops() {
    let Rig { mut worker, .. } = Rig::h1();
    worker.connect(Links::alone().unwrap());
    let (free, total) = worker.frames();
    let generation = worker.attached(ix(A1)).unwrap();
    worker.detach(A1.door);
    let (orders, bell, count) = (Arc::clone(worker.orders()), worker.bell().unwrap(), Arc::clone(worker.counters()));
    let mut port = MemoryPort::new(8);
    let (_, pool) = worker.memory_port(B1.door).unwrap();
    port.inject(&udp_to(&A1, &B1), 5_000_000_000, pool).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let idle = Idle { spin: Duration::from_micros(10), sleep: Duration::from_secs(60) };
    let thread = std::thread::spawn(move || {
        worker.work(idle, &told);
        worker
    });
    std::thread::sleep(Duration::from_millis(50)); // asleep by now, or nearly
    let order = Order::Attach { door: A1.door, generation, port: Port::Memory(port) };
    assert!(orders.push(order).is_ok());
    bell.ring();
    wait(|| count.port(A1.door).rx.get() == 1);
    assert!(orders.push(Order::Detach(A1.door)).is_ok());
    bell.ring();
    wait(|| orders.is_empty());
    stop.store(true, Ordering::Relaxed);
    bell.ring();
    let worker = thread.join().unwrap();
    assert_eq!(worker.doors(), [], "all ports are closed");
    assert_eq!(worker.attached(ix(A1)), None);
    assert_eq!(worker.frames(), (free, total), "every frame is back");
}

fn wait(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "it did not happen");
        std::thread::yield_now();
    }
}

/// With nothing to do it sleeps, and costs nothing.
#[test]
fn an_idle_worker_sleeps() {
    let Rig { mut worker, .. } = Rig::h1();
    worker.connect(Links::alone().unwrap());
    let bell = worker.bell().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (told, spent) = (Arc::clone(&stop), Arc::new(AtomicU64::new(0)));
    let tell = Arc::clone(&spent);
    let idle = Idle { spin: Duration::from_millis(1), sleep: Duration::from_millis(50) };
    let thread = std::thread::spawn(move || {
        worker.work(idle, &told);
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        tell.store(stat.split(' ').next().unwrap().parse().unwrap(), Ordering::Relaxed);
    });
    std::thread::sleep(Duration::from_millis(400));
    stop.store(true, Ordering::Relaxed);
    bell.ring();
    thread.join().unwrap();
    let ms = spent.load(Ordering::Relaxed) / 1_000_000;
    assert!(ms < 100, "{ms} ms of CPU time in 400 ms of nothing to do");
}

/// To an address of B that nobody is known to have.
fn to_nobody() -> Vec<u8> {
    let nobody = Vm { ip: B1.ip + 0x80, ..B1 };
    eth(A1.mac, RA.mac, ip4(A1.ip, nobody.ip).udp(1000, 2000, b"x"))
}

/// The writer has news of something else before it knows that the packet waits: the packet asks once more, and waits on.
#[test]
fn news_of_others_do_not_end_the_waiting_of_what_nobody_asked_for_yet() {
    let mut rig = Rig::h1();
    rig.news.tell(rig.now);
    rig.inject(A1.door, &to_nobody());
    assert_eq!(rig.worker.poll_all(), 1);
    for round in 0..3 {
        assert_eq!(rig.worker.parked().0, 1, "round {round}");
        assert!(rig.worker.learn_queue().len() <= 1 + round, "{} questions", rig.worker.learn_queue().len());
        assert_eq!(rig.worker.counters().dropped.get(), 0);
        rig.worker.idle();
        rig.news.tell(rig.now);
    }
}

/// Who has news rings, which ends a sleep.
#[test]
fn news_of_what_waits_end_a_sleep() {
    let mut rig = Rig::h1();
    rig.worker.connect(Links::alone().unwrap());
    rig.inject(A1.door, &to_nobody());
    assert_eq!(rig.worker.poll_all(), 1);
    rig.worker.hear_news();
    assert!(rig.worker.sleep(Duration::from_millis(1)), "nothing is new");
    let (news, now) = (Arc::clone(&rig.news), rig.now);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let bell = rig.worker.bell().unwrap();
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            news.tell(now);
            bell.ring();
        });
        rig.worker.sleep(Duration::from_secs(60));
    });
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(rig.worker.hear_news(), "it has not looked yet");
}

/// Nobody answers: the row that says so stays until what waits has seen it, also if the worker sleeps meanwhile.
#[test]
fn a_grace_period_waits_for_who_has_to_hear_of_it() {
    let mut rig = Rig::h1();
    rig.worker.connect(Links::alone().unwrap());
    let qsbr = Arc::clone(&rig.qsbr);
    let epoch = qsbr.retire();
    assert!(rig.worker.sleep(Duration::from_millis(1)));
    assert!(qsbr.has_passed(epoch), "nothing waits: one turn");

    rig.inject(A1.door, &to_nobody());
    assert_eq!(rig.worker.poll_all(), 1);
    let [key] = ip4_key(B, B1.ip + 0x80);
    rig.neigh.put(&[key], NeighValue::UNANSWERED.to_word()).unwrap();
    rig.news.tell(rig.now);
    let epoch = qsbr.retire();
    rig.worker.take_over();
    assert!(!qsbr.has_passed(epoch), "it has not looked");
    assert_eq!(rig.worker.parked().0, 1);
    rig.worker.idle();
    assert!(qsbr.has_passed(epoch));
    assert_eq!((rig.worker.parked().0, rig.worker.counters().reason(DropReason::NoNeigh).get()), (0, 1));

    // Another one, while it sleeps: for the whole sleep, but for the turn before it.
    rig.inject(A1.door, &to_nobody());
    rig.neigh.remove(&[key]);
    assert_eq!(rig.worker.poll_all(), 1);
    rig.worker.sleep(Duration::from_millis(1));
    let epoch = qsbr.retire();
    assert!(!qsbr.has_passed(epoch), "it is not offline");
}
