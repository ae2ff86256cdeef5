use super::*;
use crate::handoff::Links;
use crate::io::MemoryPort;
use crate::tables::{NeighValue, ip4_key};
use crate::testkit::*;
use crate::umem::Umem;
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
    let idle = Idle::Adaptive { spin: Duration::from_micros(10), sleep: Duration::from_secs(60) };
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
    let answers: Statements = Arc::new(crossbeam::queue::ArrayQueue::new(1));
    assert!(orders.push(Order::State(Arc::clone(&answers))).is_ok());
    bell.ring();
    wait(|| !answers.is_empty());
    let (who, state) = answers.pop().unwrap();
    assert_eq!((who, state.received, state.balanced()), (WorkerId(0), 1, true));
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
    let idle = Idle::Adaptive { spin: Duration::from_millis(1), sleep: Duration::from_millis(50) };
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

/// One that is busy without work never waits for anybody to wake it.
#[test]
fn a_busy_worker_does_not_sleep() {
    let waits = |idle| {
        let Rig { mut worker, .. } = Rig::h1();
        worker.connect(Links::alone().unwrap());
        let (bell, stop) = (worker.bell().unwrap(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                worker.work(idle, &stop);
                let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
                let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")).unwrap();
                line.trim().parse::<u64>().unwrap()
            });
            std::thread::sleep(Duration::from_millis(300));
            stop.store(true, Ordering::Relaxed);
            bell.ring();
            thread.join().unwrap()
        })
    };
    let sleeps = waits(Idle::Adaptive { spin: Duration::ZERO, sleep: Duration::from_millis(10) });
    let never = waits(Idle::Busy { tidy: Duration::from_micros(50) });
    assert!(sleeps >= 10 && never < 5, "{sleeps} and {never} waits");
}

/// What a worker says of itself adds up whatever its frames do: wait to be received, to leave, for a neighbour.
#[test]
fn a_worker_says_where_every_frame_and_buffer_is() {
    let mut rig = Rig::h1();
    let total = rig.worker.frames().1 as u64;
    let check = |rig: &Rig, receiving, sending, held| {
        let state = rig.worker.state();
        assert!(state.balanced(), "{state:?}");
        let Buffers { free, left_behind, .. } = state.buffers;
        assert_eq!(state.buffers, Buffers { total, free, receiving, sending, held, closing: 0, left_behind: 0 });
        assert_eq!((free + receiving + sending + held, left_behind, state.buffers.between()), (total, 0, 0));
    };
    check(&rig, 0, 0, 0);
    rig.inject(A1.door, &udp_to(&A1, &A3));
    rig.inject(A1.door, &to_nobody());
    check(&rig, 2, 0, 0);
    assert_eq!(rig.worker.poll_all(), 2);
    check(&rig, 0, 1, 1);
    rig.inject(A1.door, &udp_to(&B1, &A3)); // of another's address
    assert_eq!(rig.worker.poll_all(), 1);
    let state = rig.worker.state();
    assert_eq!((state.received, state.sent, state.dropped, state.held), (3, 1, 1, 1));
    assert_eq!(state.reasons.iter().sum::<u64>(), 1);
    // Twice the same, added up.
    let mut sum = Statement::default();
    (0..2).for_each(|_| sum += &state);
    assert!(sum.balanced());
    assert_eq!((sum.received, sum.buffers.total, sum.buffers.between()), (6, 2 * total, 0));
    assert!(!Statement { received: 7, ..sum.clone() }.balanced());
    assert!(!Statement { reasons: [0; DropReason::COUNT], ..sum }.balanced());
}

/// A system call for each port, and a worker may have 4,096: 64 a turn.
#[test]
fn the_kernel_is_asked_about_a_few_ports_at_a_time() {
    let (mut umem, count) = (Umem::new(8), WorkerCounters::new(150, 0));
    let mut io = WorkerIo::new(umem.pools(1).remove(0), 150, 0);
    assert!(io.count_lost(&count), "none is all");
    for ix in 0..130 {
        assert!(io.attach(Door::Port(ix), 1, Port::Memory(MemoryPort::new(1))).is_none());
    }
    let turns = (1..).find(|_| io.count_lost(&count));
    assert_eq!(turns, Some(3), "130 are 64, 64 and 2");
    assert_eq!((1..).find(|_| io.count_lost(&count)), turns, "and again from the first");
}

/// The kernel makes who closes a socket wait: the worker does not close it, and has the buffers when it is told.
#[test]
fn a_port_is_closed_elsewhere_and_its_buffers_come_back() {
    let mut rig = Rig::h1();
    let (free, total) = rig.worker.frames();
    assert_eq!(free, total);
    let (closer, leaving) = std::sync::mpsc::channel();
    rig.worker.close_by(Some(closer));
    (0..3).for_each(|_| rig.inject(A1.door, &udp_to(&A1, &A3)));
    assert!(rig.worker.detach(A1.door));
    let state = rig.worker.state();
    assert_eq!((state.buffers.free, state.buffers.closing, state.buffers.between()), (total as u64 - 3, 3, 0));
    let port = leaving.try_recv().unwrap();
    assert_eq!(port.worker(), WorkerId(0));
    assert!(rig.worker.orders().push(Order::TakeBack(port.close())).is_ok());
    assert_eq!(rig.worker.state(), state, "not told yet");
    rig.worker.obey();
    let buffers = rig.worker.state().buffers;
    assert_eq!((buffers.free, buffers.closing, buffers.between()), (total as u64, 0, 0));
    // Nobody there any more: it does so itself.
    drop(leaving);
    rig.inject(A3.door, &udp_to(&A3, &A1));
    assert!(rig.worker.detach(A3.door));
    assert_eq!((rig.worker.frames().0, rig.worker.state().buffers.closing), (total, 0));
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
