//! What a running worker is asked to do by the thread that owns the model.

use super::{Returned, Statements, Worker, WorkerIo};
use crate::burst::Door;
use crate::counters::WorkerCounters;
use crate::io::Port;
use crate::stage::Made;
use crossbeam::queue::ArrayQueue;
use std::sync::Arc;

/// Orders that may wait for a worker; it looks once a turn.
pub const ORDERS: usize = 64;

/// One of them.
#[derive(Debug)]
pub enum Order<'u> {
    /// Take this port; one that is there is closed.
    Attach {
        /// Where.
        door: Door,
        /// Of a local port: whose index it has ([`PortRow::generation`](crate::tables::PortRow)).
        generation: u32,
        /// The port.
        port: Port<'u>,
    },
    /// Close this port.
    Detach(Door),
    /// Send this ARP frame.
    Send(Made),
    /// Say what the books are.
    State(Statements),
    /// The buffers of a port that was closed.
    TakeBack(Returned<'u>),
}

/// The worker's letter box. Who puts something in rings its bell.
pub type Orders<'u> = Arc<ArrayQueue<Order<'u>>>;

impl<'u> Worker<'u> {
    /// Where to put orders for it.
    pub fn orders(&self) -> &Orders<'u> {
        &self.orders
    }

    /// Does what it is asked to: once a turn of [`Worker::work`].
    #[inline]
    pub fn obey(&mut self) {
        if !self.orders.is_empty() {
            while let Some(order) = self.orders.pop() {
                match order {
                    Order::Send(made) => self.send_made(&made),
                    Order::State(answers) => self.tell_state(&answers),
                    order => self.io.obey(order, &self.count),
                }
            }
        }
    }
}

impl<'u> WorkerIo<'u> {
    #[cold]
    fn obey(&mut self, order: Order<'u>, count: &WorkerCounters) {
        match order {
            Order::Attach { door, generation, port } => {
                if let Some(old) = self.attach(door, generation, port) {
                    self.close(door, old, count);
                }
            }
            Order::Detach(door) => {
                self.detach(door, count);
            }
            Order::TakeBack(returned) => self.take_back(returned, count),
            Order::Send(_) | Order::State(_) => {} // the worker's own doing
        }
    }
}
