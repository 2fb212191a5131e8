//! How much of what is missing an error names.

use super::Unequal;

#[tokio::test]
async fn as_much_is_named_as_a_person_can_read() {
    let unequal = Unequal::new().await;
    for n in 0..25 {
        unequal
            .superuser(&format!(
                "CREATE TABLE public.t{n} (id int); GRANT SELECT, INSERT ON public.t{n} TO \
                 :current"
            ))
            .await;
    }
    unequal.set().await;
    let failed = unequal.refused().await;
    assert!(
        failed.message.contains("(50 differences)") && failed.message.contains("; and 40 more."),
        "{}",
        failed.message
    );
    assert_eq!(failed.message.matches(" on table public.").count(), 10, "{}", failed.message);
}
