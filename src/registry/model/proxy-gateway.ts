import type { ClusterId, NetworkId, ObjectKey } from "../../names.ts";
import type { Locality } from "./address.ts";

/** A Gateway of the local cluster whose proxies are Envoys that we program (contract peering.md 2.6 and 2.9). */
export interface ProxyGateway {
  readonly key: ObjectKey;
  readonly cluster: ClusterId;
  readonly namespace: string;
  readonly name: string;
  readonly kind: "waypoint" | "east-west";
  /** With the namespace, whom its proxies must prove to be; nobody else is told its configuration. */
  readonly serviceAccount: string;
  readonly trustDomain: string;
  readonly network: NetworkId;
  /** Where all of its ready pods are, as far as they agree. */
  readonly locality: Locality | undefined;
  /** True if pods of its have IPv6 addresses: its proxies then listen on both families. */
  readonly ipv6?: boolean;
  /** Where it takes HBONE in its pods. */
  readonly hbonePort: number;
  /** The port whose TLS goes to the control plane unopened; undefined without `istio.io/expose-istiod`. */
  readonly controlPlanePort: number | undefined;
}
