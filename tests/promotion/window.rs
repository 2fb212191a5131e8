//! How long AWSCURRENT is refused in a rotation that nothing disturbs.

use std::io::Write;
use std::time::Duration;

use crate::world::window::windows;

/// `make bench` measures the packaged binary alone on the machine. Other tests run here.
const LONGEST: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_current_password_is_refused_for_a_login_and_a_call_only() {
    let mut windows = windows(5).await;
    windows.sort_unstable();
    let ms = |window: Duration| window.as_secs_f64() * 1e3;
    let (least, median, most) = (ms(windows[0]), ms(windows[2]), ms(windows[4]));
    let _ = writeln!(
        std::io::stderr(),
        "AWSCURRENT of a single user was refused for {median:.1} ms ({least:.1} to {most:.1}, 5 \
         rotations, beside other tests)"
    );
    assert!(windows[2] < LONGEST, "{windows:?}");
}
