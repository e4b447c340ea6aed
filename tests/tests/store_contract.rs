//! The store keeps its promises on the embedded DynamoDB, over HTTP, by the real SDK.

use testkit::contract;
use testkit::wire::Store;

#[tokio::test]
async fn the_store_keeps_its_promises() {
    let store = Store::start().await;
    contract::run(&store).await;
    let heard = store.tap.take();
    assert!(["GetItem", "BatchGetItem", "Query"].iter().all(|read| heard.iter().any(|sent| sent.call.action == *read)));
    let stale: Vec<_> = heard.iter().filter(|sent| sent.call.stale).collect();
    assert!(stale.is_empty(), "these may miss what was written before: {stale:?}");
}
