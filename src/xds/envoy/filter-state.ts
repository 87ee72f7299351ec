import { envoy } from "./message.ts";

type Value = envoy.extensions.filters.common.set_filter_state.v3.FilterStateValue.$Properties;

const { SharedWithUpstream } = envoy.extensions.filters.common.set_filter_state.v3.FilterStateValue;

/** What Envoy's original_dst listener filter makes the local address of an internal connection from, as `ip:port`. */
export const DESTINATION_ADDRESS = "envoy.filters.listener.original_dst.local_ip";
/** Who may be at the far end of TLS: Envoy looks for one of them in the certificate. Text, with commas between. */
export const EXPECTED_NAMES = "envoy.network.upstream_subject_alt_names";
/** The cluster that tcp_proxy uses for one connection instead of its own. */
export const CLUSTER_OF_CONNECTION = "envoy.tcp_proxy.cluster";
/** What the inner of two tunnels tells the outer one. */
export const GATEWAY_NAMES = "io.causeway.gateway_names";
export const GATEWAY_CLUSTER = "io.causeway.gateway_cluster";
export const GATEWAY_AUTHORITY = "io.causeway.gateway_authority";

/** Of what is no key of Envoy's own. Pools are told apart by hashable state alone: connections of callers would mix. */
const TEXT = "envoy.hashable_string";

interface State {
  readonly key: string;
  /** Of an access log, as `%DOWNSTREAM_PEER_URI_SAN%`. */
  readonly format: string;
  /** True if the internal connection that is opened next has it, too; the one after that never has. */
  readonly shared?: boolean;
}

/**
 * What a set_filter_state filter puts beside a connection or request; nothing where there is nothing to say. Only of
 * expected names nothing is said, too: an empty list lets nobody in, and none at all anybody of the trust domain.
 */
export const stateOf = ({ key, format, shared = false }: State): Value => ({
  objectKey: key,
  ...(key.startsWith("io.causeway.") && { factoryKey: TEXT }),
  formatString: { textFormatSource: { inlineString: format }, omitEmptyValues: true },
  ...(shared && { sharedWithUpstream: SharedWithUpstream.ONCE }),
  skipIfEmpty: key !== EXPECTED_NAMES,
});
