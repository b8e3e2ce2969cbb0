//! Calls over HTTP in native tests: answered by a script.

use std::{cell::RefCell, rc::Rc};

use crate::http::{Error, Request, Response};

type Script = Box<dyn FnMut(&Request) -> Result<Response, Error>>;

/// Answers calls as a test says, and remembers them.
#[derive(Default)]
pub(crate) struct Double {
    script: Option<Script>,
    pub(crate) made: Vec<Request>,
}

impl Double {
    pub(crate) fn answer_with(&mut self, script: impl FnMut(&Request) -> Result<Response, Error> + 'static) {
        self.script = Some(Box::new(script));
    }
}

thread_local! {
    /// That of the harness whose reaction handles an event just now.
    static CURRENT: RefCell<Option<Rc<RefCell<Double>>>> = const { RefCell::new(None) };
}

/// Lets a double answer what is called meanwhile.
pub(crate) fn with<T>(double: &Rc<RefCell<Double>>, run: impl FnOnce() -> T) -> T {
    let before = CURRENT.replace(Some(Rc::clone(double)));
    let answer = run();
    CURRENT.set(before);
    answer
}

/// Answers a call.
pub(crate) fn answer(request: Request) -> Result<Response, Error> {
    let double = CURRENT.with_borrow(Clone::clone);
    let double =
        double.expect("calls over HTTP are made by reactions, in a `ReactionHarness` or as components");
    let mut double = double.borrow_mut();
    let Double { script, made } = &mut *double;
    let script = script.as_mut().unwrap_or_else(|| {
        panic!("nobody answers {} {}: call `answer_calls` before", request.method, request.url)
    });
    let answer = script(&request);
    made.push(request);
    answer
}
