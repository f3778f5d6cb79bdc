//! Reading what is on record.

use crate::place::*;
use api::{Extents, Recordings};
use model::fixture::seed;
use reqwest::StatusCode;
use serde_json::json;

#[tokio::test]
async fn what_is_on_record_is_read_by_those_concerned() {
    let place = Place::founded().await;
    let session = place.opened().await;
    let (alice, olga) = (place.sign_in(seed::ALICE).await, place.sign_in(seed::OLGA).await);
    let mallory = place.sign_in(seed::MALLORY).await;
    let (_, entries) = place.get(&olga, "/v1/environments/acme/entries?from=0&count=3").await;
    assert_eq!(entries["entries"].as_array().unwrap().len(), 3);
    let first = entries["entries"][0]["entry"].as_str().unwrap();
    assert_eq!(
        model::entry::Entry::parse(first.as_bytes()).unwrap().body.kind(),
        "environment.genesis"
    );
    let (status, answer) = place.get(&alice, "/v1/environments/acme/entries").await;
    assert_eq!((status, &answer["code"]), (StatusCode::FORBIDDEN, &json!("owner_only")));
    let (status, _) = place.get(&olga, "/v1/environments/globex/entries").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, answer) = place.get(&olga, "/v1/environments/acme/entries?from=x").await;
    assert_eq!(
        (status, &answer["field"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("from"))
    );
    let (_, entries) = place.get(&alice, &format!("/v1/sessions/{session}/entries")).await;
    let opening = entries["entries"][0]["entry"].as_str().unwrap();
    let opening = model::entry::Entry::parse(opening.as_bytes()).unwrap();
    for (token, wanted) in [
        (&alice, StatusCode::OK),
        (&olga, StatusCode::OK),
        (&mallory, StatusCode::NOT_FOUND),
    ] {
        let path = format!("/v1/environments/acme/blobs/{}", opening.blobs[1].sha256);
        assert_eq!(place.get(token, &path).await.0, wanted);
        assert_eq!(place.get(token, &format!("/v1/sessions/{session}")).await.0, wanted);
        assert_eq!(
            place.get(token, &format!("/v1/sessions/{session}/extents")).await.0,
            wanted
        );
    }
    let (_, none) = place.get(&mallory, "/v1/sessions").await;
    assert_eq!(none, json!([]));
    let (_, one) = place.get(&alice, "/v1/sessions").await;
    assert_eq!(one[0]["state"]["session"], json(&session));
    let url = format!("http://{}/v1/sessions/{session}/extents", place.address);
    let extents = place
        .client
        .get(url)
        .bearer_auth(&olga)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!((extents.len(), extents[0], extents[1_999_999]), (2_000_000, 0, 19));
}

/// A recording that cannot be read to its end breaks off; nobody takes the part for the whole.
#[tokio::test]
async fn a_recording_that_breaks_off_is_seen_to() {
    let broken = Recordings::new(|_, _| {
        let pieces = [Ok(vec![1u8; 1000]), Err(std::io::Error::other("bad sector"))];
        Ok(Some(Box::new(pieces.into_iter()) as Extents))
    });
    let place = Place::empty(broken).await;
    place.found().await;
    let session = place.opened().await;
    let olga = place.sign_in(seed::OLGA).await;
    let url = format!("http://{}/v1/sessions/{session}/extents", place.address);
    let response = place.client.get(url).bearer_auth(&olga).send().await.unwrap();
    assert!(response.bytes().await.is_err());
}
