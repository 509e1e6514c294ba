//! The part of the schedule that one connection serves, as the requests it really sends.

use super::Schedule;
use std::collections::VecDeque;
use std::time::Duration;

/// Whose turn it is: one connection serves the probes `lane`, `lane + lanes`, …
#[derive(Clone, Debug)]
pub struct LaneSchedule {
    pub schedule: Schedule,
    pub probes: u32,
    pub lanes: u32,
    pub lane: u32,
}

/// One request of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Number of the (first) request in the fleet.
    pub k: u64,
    pub probe: u32,
    /// Which of the probe's own requests this is.
    pub round: u64,
    /// Rounds that go out in one body: more than one only for a backlog.
    pub rounds: u32,
    /// Place of the probe among those of its lane.
    pub member: u32,
    /// When it is meant to be sent, from the start of the run.
    pub due: Duration,
    /// The probe's link was lost at this moment, and is there again when the request is due.
    pub link_lost: Option<Duration>,
}

impl LaneSchedule {
    /// Probes of this lane.
    pub const fn width(&self) -> u32 {
        (self.probes - self.lane).div_ceil(self.lanes)
    }

    /// The lane's turn `index` in the order of time, without an end.
    fn turn(&self, index: u64) -> Planned {
        let width = u64::from(self.width());
        let (round, member) = (index / width, index % width);
        let probe = u64::from(self.lane) + member * u64::from(self.lanes);
        let k = round * u64::from(self.probes) + probe;
        let narrow = |value| u32::try_from(value).unwrap_or(u32::MAX);
        Planned {
            k,
            probe: narrow(probe),
            round,
            rounds: 1,
            member: narrow(member),
            due: Duration::ZERO,
            link_lost: None,
        }
    }
}

/// Samples of one body when a backlog is handed over, as a probe's spool does it.
const BACKLOG_SAMPLES: u32 = 500;

/// Walks through a lane's requests.
#[derive(Debug)]
pub struct LanePlan {
    lane: LaneSchedule,
    index: u64,
    /// Lost and back, until the lane has passed it.
    outage_ahead: Option<(Duration, Duration)>,
    backlog: VecDeque<Planned>,
}

impl LanePlan {
    pub fn new(lane: LaneSchedule) -> Self {
        let seconds = |(from, to)| (Duration::from_secs_f64(from), Duration::from_secs_f64(to));
        Self {
            outage_ahead: lane.schedule.outage_s.map(seconds),
            lane,
            index: 0,
            backlog: VecDeque::new(),
        }
    }

    pub const fn width(&self) -> u32 {
        self.lane.width()
    }

    /// The same without a schedule, for closed-loop runs.
    pub fn endless(&mut self) -> Planned {
        let turn = self.lane.turn(self.index);
        self.index += 1;
        turn
    }

    fn scheduled(&self, index: u64) -> Option<Planned> {
        let turn = self.lane.turn(index);
        (turn.k < self.lane.schedule.requests()).then(|| Planned {
            due: self.lane.schedule.offset(turn.k),
            ..turn
        })
    }

    /// All turns of the outage, by probe, in bodies of some hundred samples.
    fn collect_backlog(&mut self, lost: Duration, back: Duration) {
        let first = self.index;
        while self
            .scheduled(self.index)
            .is_some_and(|turn| turn.due < back)
        {
            self.index += 1;
        }
        let rounds_max = (BACKLOG_SAMPLES / self.lane.schedule.batch()).max(1);
        let width = u64::from(self.lane.width());
        for start in first..self.index.min(first + width) {
            let mut at = start;
            while at < self.index {
                let left = (self.index - at).div_ceil(width);
                let rounds = left.min(u64::from(rounds_max));
                self.backlog.push_back(Planned {
                    rounds: u32::try_from(rounds).unwrap_or(rounds_max),
                    due: back,
                    ..self.lane.turn(at)
                });
                at += rounds * width;
            }
        }
        if let Some(first) = self.backlog.front_mut() {
            first.link_lost = Some(lost);
        }
    }
}

impl Iterator for LanePlan {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        if let Some(waiting) = self.backlog.pop_front() {
            return Some(waiting);
        }
        let mut turn = self.scheduled(self.index)?;
        if let Some((lost, back)) = self.outage_ahead
            && turn.due >= lost
        {
            self.outage_ahead = None;
            self.collect_backlog(lost, back);
            if let Some(waiting) = self.backlog.pop_front() {
                return Some(waiting);
            }
            turn.link_lost = Some(lost);
        }
        self.index += 1;
        Some(turn)
    }
}
