//! Tests of the configuration: presets, environment, errors.

use super::*;

fn read(maximum: Option<&str>, minimum: Option<&str>) -> Result<(u32, u32), ConfigError> {
    let connections = Connections::from_variables(Connections::default(), |variable| {
        let value = if variable == MAX_CONNECTIONS_VARIABLE { maximum } else { minimum };
        Ok(value.map(str::to_owned))
    })?;
    Ok((connections.minimum(), connections.maximum()))
}

#[test]
fn unset_variables_mean_ten_and_fifty() {
    assert_eq!(read(None, None), Ok((10, 50)));
}

#[test]
fn variables_override_the_defaults() {
    assert_eq!(read(Some("200"), Some("33")), Ok((33, 200)));
    assert_eq!(read(Some(" 7 "), None), Ok((7, 7)));
    assert_eq!(read(None, Some("0")), Ok((0, 50)));
}

#[test]
fn bad_variables_are_named_in_the_error() {
    for value in ["", "0", "-1", "many", "4294967296", "1.5"] {
        let error = read(Some(value), None).expect_err(value).to_string();
        assert!(error.contains(MAX_CONNECTIONS_VARIABLE) && error.contains(&format!("{value:?}")), "{error}");
    }
    let error = read(None, Some("few")).expect_err("not a number").to_string();
    assert!(error.contains(MIN_CONNECTIONS_VARIABLE), "{error}");
    assert_eq!(read(Some("5"), Some("6")), Err(ConfigError::MinimumAboveMaximum { minimum: 6, maximum: 5 }));
}

#[test]
fn presets_are_inside_the_promised_ranges() {
    let ranges = [
        (NetworkConfig::wallet(), 5..=10, 20..=50),
        (NetworkConfig::full(), 10..=20, 50..=100),
        (NetworkConfig::bootstrap(), 20..=50, 100..=500),
        (NetworkConfig::relay(), 50..=100, 200..=1000),
    ];
    for (config, minimum, maximum) in ranges {
        assert!(minimum.contains(&config.connections.minimum()));
        assert!(maximum.contains(&config.connections.maximum()));
    }
    assert!(NetworkConfig::relay().relay_server && !NetworkConfig::bootstrap().relay_server);
}

#[test]
fn a_bootstrap_address_names_its_peer() {
    let nameless: Multiaddr = "/ip4/127.0.0.1/tcp/4001".parse().expect("an address");
    let refusal = NetworkConfig::wallet().join_through(nameless.clone()).expect_err("no peer id");
    assert_eq!(refusal, ConfigError::NoPeerId { address: nameless.clone() });

    let peer = PeerId::random();
    let named = nameless.clone().with_p2p(peer).expect("no peer id yet");
    let config = NetworkConfig::wallet().join_through(named).expect("a peer id");
    assert_eq!(config.bootstrap, [(peer, nameless)]);
}
