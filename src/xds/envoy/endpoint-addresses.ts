import type { GatewayHost } from "../../registry/model/address.ts";
import type { EndpointWay, ProxyEndpoint } from "../../registry/model/proxy-backend.ts";
import { contentVersion } from "../wire.ts";
import { envoy, type google } from "./message.ts";
import { connectOriginate, gatewayCluster, innerOriginate, namedHost } from "./resource-names.ts";

type Address = envoy.config.core.v3.Address.$Properties;
type Assignment = envoy.config.endpoint.v3.ClusterLoadAssignment.$Properties;
type Metadata = envoy.config.core.v3.Metadata.$Properties;

/** In the metadata of an endpoint: how the listeners that open tunnels are to open one to it. */
export const TUNNEL = "io.causeway.tunnel";
/** Likewise; Envoy's original_dst listener filter finds in it where the tunnel goes. */
export const ORIGINAL_DESTINATION = "envoy.filters.listener.original_dst";
/** Likewise; a cluster takes the transport socket that it names. */
const SOCKET_MATCH = "envoy.transport_socket_match";
/** What it says of an endpoint behind a tunnel. */
export const THROUGH_TUNNEL: google.protobuf.IStruct = { fields: { tunnel: { boolValue: true } } };

/** As `10.0.0.5:15008` or `[fd00::5]:15008`. */
export const hostAndPort = (host: string, port: number): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

/** Of a cluster that goes to one place, whose endpoints are no resource of their own. */
export const oneEndpoint = (clusterName: string, address: Address): Assignment => ({
  clusterName,
  endpoints: [{ lbEndpoints: [{ endpoint: { address } }] }],
});

/** Where Envoy itself connects to: what is behind a tunnel or has only a name, through a listener of its own for that. */
export function addressOf({ id, way }: ProxyEndpoint): Address {
  if (way.kind === "plain") return { socketAddress: { address: way.ip, portValue: way.port } };
  const serverListenerName = listenerTo(way);
  // What Envoy knows an endpoint by. One whose way is another one is another: connections that were opened to the place
  // and the identity before must not be used for it.
  return { envoyInternalAddress: { serverListenerName, endpointId: `${id} ${contentVersion(bytesOf(way))}` } };
}

function listenerTo(way: Exclude<EndpointWay, { readonly kind: "plain" }>): string {
  if (way.kind === "named") return namedHost(way.hostname, way.port);
  const { trustDomain } = way.identity;
  return way.kind === "tunnel"
    ? connectOriginate(trustDomain)
    : innerOriginate(trustDomain, way.gatewayIdentity.trustDomain);
}

const bytesOf = (way: EndpointWay): Uint8Array => Buffer.from(JSON.stringify(way));

/** What goes with it; nothing for an endpoint that Envoy itself connects to. */
export function metadataOf({ way }: ProxyEndpoint): Metadata | undefined {
  if (way.kind === "plain") return undefined;
  if (way.kind === "named") return metadata({});
  const names = way.identity.names.join(",");
  if (way.kind === "tunnel") {
    const local = hostAndPort(way.ip, way.hbonePort);
    return metadata({ authority: way.authority, names }, { [ORIGINAL_DESTINATION]: { local } });
  }
  const gatewayNames = way.gatewayIdentity.names.join(",");
  return metadata({ authority: way.authority, names, gateway_names: gatewayNames, ...placeOf(way) });
}

/** A gateway that is known by a host name has a cluster of its own, as Envoy looks names up for clusters alone. */
function placeOf({ gateway, hbonePort, gatewayIdentity }: DoubleTunnel): Readonly<Record<string, string>> {
  if (gateway.kind === "ip") return { gateway: hostAndPort(gateway.ip, hbonePort) };
  return { gateway_cluster: gatewayCluster(gatewayIdentity.trustDomain, gateway.hostname, hbonePort) };
}

type DoubleTunnel = Extract<EndpointWay, { readonly kind: "double-tunnel" }> & { readonly gateway: GatewayHost };

function metadata(tunnel: Texts, others: Readonly<Record<string, Texts>> = {}): Metadata {
  const texts = Object.entries({ [TUNNEL]: tunnel, ...others }).map(([name, fields]) => [name, structOf(fields)]);
  return { filterMetadata: { [SOCKET_MATCH]: THROUGH_TUNNEL, ...Object.fromEntries(texts) } };
}

type Texts = Readonly<Record<string, string>>;

const structOf = (texts: Texts): google.protobuf.IStruct => ({
  fields: Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, { stringValue: text }])),
});
