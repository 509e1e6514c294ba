//! Values in, view out. Nothing here asks the engine.

pub(crate) mod canvas;
pub(crate) mod chart;
pub(crate) mod first_run;
pub(crate) mod heartbeat;
pub(crate) mod help;
pub(crate) mod history_panel;
pub(crate) mod keys;
pub(crate) mod kpi;
pub(crate) mod ledger;
pub(crate) mod map;
pub(crate) mod map_mark;
pub(crate) mod measure;
pub(crate) mod node_account;
pub(crate) mod node_row;
pub(crate) mod node_table;
pub(crate) mod notice;
pub(crate) mod palette;
pub(crate) mod posture;
pub(crate) mod range_picker;
pub(crate) mod receipt;
pub(crate) mod state_mark;
pub(crate) mod time_bar;
pub(crate) mod topbar;
pub(crate) mod worst;
