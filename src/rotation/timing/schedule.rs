//! The schedule of a secret: the longest and the shortest time between two turns.

use std::cmp::Ordering;
use std::time::{Duration, SystemTime};

use croner::errors::CronError;
use croner::parser::CronParser;
use croner::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use crate::error::Problem;
use crate::secret::store::RotationRules;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// How long a cron expression is followed: more than a year, and at least three turns.
const FOLLOWED: Duration = Duration::from_hours(24 * 400);

/// The times between the turns of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Schedule {
    /// The longest time between two turns that are on time.
    pub(super) longest: Duration,
    /// The shortest.
    pub(super) shortest: Duration,
    /// How late in its window a turn may begin.
    pub(super) window: Duration,
}

impl Schedule {
    /// Reads the rules of a rotation. `None` if they name no schedule.
    ///
    /// # Errors
    /// A [`Problem`] if they cannot be read.
    pub(super) fn of(rules: &RotationRules, now: SystemTime) -> Result<Option<Self>, Problem> {
        let (longest, shortest) = match (&rules.expression, rules.after_days) {
            (Some(expression), _) => gaps(expression, now)
                .ok_or_else(|| format!("its schedule {expression:?} is not understood."))?,
            (None, Some(days)) => {
                let days = u64::try_from(days).ok().and_then(|days| days.checked_mul(24));
                let hours = days.ok_or_else(|| "its schedule is not understood.".to_owned())?;
                (Duration::from_hours(hours), Duration::from_hours(hours))
            }
            (None, None) => return Ok(None),
        };
        // Secrets Manager's own windows.
        let usual = if shortest < DAY { HOUR } else { DAY };
        let window = match &rules.window {
            None => usual,
            Some(window) => window
                .strip_suffix('h')
                .and_then(|hours| hours.parse().ok())
                .map(Duration::from_hours)
                .ok_or_else(|| format!("its window {window:?} is not understood."))?,
        };
        Ok(Some(Self { longest, shortest, window }))
    }
}

/// The longest and the shortest time between two turns.
fn gaps(expression: &str, now: SystemTime) -> Option<(Duration, Duration)> {
    let inner = |kind: &str| expression.strip_prefix(kind)?.strip_suffix(')');
    if let Some(rate) = inner("rate(") {
        let (number, unit) = rate.split_once(' ')?;
        let hours = match unit {
            "hour" | "hours" => 1,
            "day" | "days" => 24,
            _ => return None,
        };
        let gap = Duration::from_hours(number.parse::<u32>().ok()?.into()) * hours;
        return Some((gap, gap));
    }
    // Secrets Manager accepts only "*" as the year.
    let fields = inner("cron(")?.trim().strip_suffix(" *")?;
    let parser = CronParser::builder().alternative_weekdays(true).sloppy_ranges(true).build();
    let cron = parser.parse(fields).ok()?;
    let start = OffsetDateTime::from(now);
    let (mut last, mut longest, mut shortest) = (None, Duration::ZERO, Duration::MAX);
    let mut turns = 0;
    for turn in cron.iter_after(Utc(start)) {
        if let Some(last) = last {
            let gap = Duration::try_from(turn.0 - last).ok()?;
            (longest, shortest) = (longest.max(gap), shortest.min(gap));
        }
        last = Some(turn.0);
        turns += 1;
        if turns > 3 && turn.0 - start > FOLLOWED {
            return Some((longest, shortest));
        }
    }
    None
}

/// A time in UTC, in which no hour is skipped or repeated.
#[derive(Debug, Clone, Copy)]
struct Utc(OffsetDateTime);

impl CronDateTime for Utc {
    fn to_civil(&self) -> CivilDateTime {
        let date = self.0.date();
        let (hour, minute, second) = self.0.time().as_hms();
        let month = u32::from(u8::from(date.month()));
        let date = CivilDate::from_parts_unchecked(date.year(), month, date.day().into());
        let time = CivilTime::from_parts_unchecked(hour.into(), minute.into(), second.into());
        CivilDateTime::new(date, time)
    }

    fn civil_weekday(&self) -> Weekday {
        match self.0.weekday() {
            time::Weekday::Monday => Weekday::Monday,
            time::Weekday::Tuesday => Weekday::Tuesday,
            time::Weekday::Wednesday => Weekday::Wednesday,
            time::Weekday::Thursday => Weekday::Thursday,
            time::Weekday::Friday => Weekday::Friday,
            time::Weekday::Saturday => Weekday::Saturday,
            time::Weekday::Sunday => Weekday::Sunday,
        }
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let small = |number: u32| u8::try_from(number).map_err(|_| CronError::InvalidDate);
        let month = Month::try_from(small(civil.month())?).map_err(|_| CronError::InvalidDate)?;
        let date = Date::from_calendar_date(civil.year(), month, small(civil.day())?);
        let (hour, minute) = (small(civil.hour())?, small(civil.minute())?);
        let time = Time::from_hms(hour, minute, small(civil.second())?);
        let (date, time) = date.ok().zip(time.ok()).ok_or(CronError::InvalidDate)?;
        Ok(Resolution::Single(Self(PrimitiveDateTime::new(date, time).assume_utc())))
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(time::Duration::seconds(seconds)).map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(expression: &str) -> Result<Option<Schedule>, Problem> {
        // Monday, 5 January 2026, 12:34 UTC.
        let now = SystemTime::UNIX_EPOCH + Duration::from_mins(29_460_274);
        let rules =
            RotationRules { expression: Some(expression.to_owned()), ..RotationRules::default() };
        Schedule::of(&rules, now)
    }

    #[test]
    fn the_longest_gap_of_every_kind_of_expression() {
        for (expression, longest, shortest, window) in [
            ("rate(4 hours)", 4, 4, 1),
            ("rate(1 day)", 24, 24, 24),
            ("rate(30 days)", 720, 720, 24),
            ("cron(0 */4 * * ? *)", 4, 4, 1),
            ("cron(0 0/8 * * ? *)", 8, 8, 1),
            ("cron(0 8,16 * * ? *)", 16, 8, 1),
            ("cron(0 8-16/4 * * ? *)", 16, 4, 1),
            ("cron(0 3 * * ? *)", 24, 24, 24),
            // From Friday to Monday. 1 is Sunday.
            ("cron(0 6 ? * MON-FRI *)", 72, 24, 24),
            ("cron(0 6 ? * 2-6 *)", 72, 24, 24),
            ("cron(0 6 ? * 1 *)", 168, 168, 24),
            ("cron(0 6 ? * SUN,WED *)", 96, 72, 24),
            // Across months of 28 to 31 days.
            ("cron(0 0 1 * ? *)", 744, 672, 24),
            ("cron(0 0 L * ? *)", 744, 672, 24),
            ("cron(0 0 1,15 * ? *)", 17 * 24, 14 * 24, 24),
            // 1 August 2026 is a Saturday, and 1 November a Sunday.
            ("cron(0 0 1W * ? *)", 33 * 24, 28 * 24, 24),
            ("cron(0 0 ? * MON#1 *)", 35 * 24, 28 * 24, 24),
            ("cron(0 0 ? * 6L *)", 35 * 24, 28 * 24, 24),
            ("cron(0 0 1 1,7 ? *)", 184 * 24, 181 * 24, 24),
            ("cron(0 0 1 1 ? *)", 366 * 24, 365 * 24, 24),
        ] {
            let [longest, shortest, window] = [longest, shortest, window].map(Duration::from_hours);
            let expected = Schedule { longest, shortest, window };
            assert_eq!(schedule(expression), Ok(Some(expected)), "{expression}");
        }
    }

    #[test]
    fn days_and_windows_are_read_and_anything_else_is_no_guess() {
        let rules = |after_days, window: Option<&str>| RotationRules {
            after_days,
            window: window.map(str::to_owned),
            ..RotationRules::default()
        };
        let of = |rules: &RotationRules| Schedule::of(rules, SystemTime::now());
        let week = of(&rules(Some(7), Some("3h"))).unwrap().unwrap();
        assert_eq!((week.longest, week.window), (DAY * 7, HOUR * 3));
        assert_eq!(of(&rules(None, None)).unwrap(), None);
        assert!(of(&rules(Some(-1), None)).is_err());
        assert!(of(&rules(Some(7), Some("soon"))).is_err());
        for expression in [
            "",
            "rate(4 minutes)",
            "rate(x days)",
            "rate(4)",
            "cron(0 3 * * ?)",
            "cron(0 3 * * ? 2027)",
            "cron(0 3 31 2 ? *)",
            "cron(hourly *)",
            "every day",
        ] {
            assert!(schedule(expression).is_err(), "{expression}");
        }
    }
}
