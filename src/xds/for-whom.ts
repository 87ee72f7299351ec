import { MeshError } from "../errors.ts";
import { printable } from "../printable.ts";
import type { GatewayVisit } from "./gateway-gate.ts";
import type { PeerLogs } from "./peer-gate.ts";
import { FSDS_TYPE, PROXY_TYPES, SGDS_TYPE, TYPE_NAMES, type TypeUrl } from "./resource.ts";

/**
 * What is for control planes or for proxies is for nobody else, and they get nothing else.
 * @throws MeshError `denied`, which must end the stream.
 */
export function checkType(typeUrl: TypeUrl, peer: PeerLogs | undefined, proxy: GatewayVisit | undefined): void {
  const served = peer ?? proxy?.logs;
  if (served?.has(typeUrl) === true) return;
  if (served !== undefined) {
    const whom = proxy === undefined ? "peers" : `proxies of Gateway ${proxy.gateway}`;
    const message = `"${printable(typeUrl, 128)}" is not for ${whom}; they may have ${[...served.keys()].join(", ")}`;
    throw new MeshError("denied", message, { reason: proxy === undefined ? "NotForPeers" : "NotForProxies" });
  }
  if (typeUrl === FSDS_TYPE || typeUrl === SGDS_TYPE) throw noControlPlane();
  if (PROXY_TYPES.includes(typeUrl)) throw noProxy(`${TYPE_NAMES.get(typeUrl)} of a Gateway`);
}

export const noControlPlane = (): MeshError =>
  new MeshError(
    "denied",
    "what clusters share is for their control planes: connect to the TLS port with the certificate of one",
    { reason: "NotAPeer" },
  );

export const noProxy = (what: string): MeshError =>
  new MeshError(
    "denied",
    `${what} is for its proxies: connect to the TLS port with a node.id that begins with waypoint~, with GATEWAY and ` +
      "NAMESPACE in its metadata, and as the service account of that Gateway",
    { reason: "NotAProxy" },
  );
