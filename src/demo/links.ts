import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeWhole } from "../whole-file.ts";
import type { DemoCluster, DemoConfig } from "./clusters.ts";

/** Where a peer is. */
export interface LinkTarget {
  readonly cluster: DemoCluster;
  readonly trustDomain: string;
  readonly address: string;
  /** Of the relay: the way to its control plane, and that for traffic. */
  readonly xdsPort: number;
  readonly hbonePort: number;
}

/** Says where a cluster is itself, and where the others are; one file each: a user can read them, and delete one. */
export async function writeLinks({ linksDir, cluster }: DemoConfig, all: readonly LinkTarget[]): Promise<void> {
  await mkdir(linksDir, { recursive: true });
  const gateway = (target: LinkTarget): string => (target.cluster === cluster ? ownGateway : remoteGateway)(target);
  const files = new Map(all.map((target) => [`${target.cluster}.yaml`, gateway(target)]));
  for (const name of await readdir(linksDir)) if (!files.has(name)) await rm(join(linksDir, name), { force: true });
  for (const [name, text] of files) await writeWhole(join(linksDir, name), text);
}

/** The Gateway by which a cluster says where a peer is (contract peering.md 2.2). */
const remoteGateway = ({ cluster, trustDomain, address, xdsPort, hbonePort }: LinkTarget): string => `\
# Where ${cluster} is, for the control plane beside this folder. Written by the demo at each start.
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: istio-remote-peer-${cluster}
  namespace: istio-eastwest
  labels:
    topology.istio.io/cluster: ${cluster}
    topology.istio.io/network: ${cluster}
  annotations:
    gateway.istio.io/service-account: istio-eastwest
    gateway.istio.io/trust-domain: ${trustDomain}
spec:
  gatewayClassName: istio-remote
  addresses:
    - { type: IPAddress, value: "${address}" }
  listeners:
    - { name: cross-network, port: ${hbonePort}, protocol: HBONE, tls: { mode: Passthrough } }
    - { name: xds-tls, port: ${xdsPort}, protocol: TLS, tls: { mode: Passthrough } }
`;

/** The way into a cluster's own network, as it tells its peers (contract peering.md 2.2). */
const ownGateway = ({ cluster, address, xdsPort, hbonePort }: LinkTarget): string => `\
# The way into ${cluster} from other clusters. Written by the demo at each start: it is the relay beside this control plane.
apiVersion: v1
kind: Namespace
metadata:
  name: istio-eastwest
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: istio-eastwest
  namespace: istio-eastwest
  labels:
    istio.io/expose-istiod: "${xdsPort}"
    topology.istio.io/cluster: ${cluster}
    topology.istio.io/network: ${cluster}
spec:
  gatewayClassName: istio-eastwest
  addresses:
    - { type: IPAddress, value: "${address}" }
  listeners:
    - { name: cross-network, port: ${hbonePort}, protocol: HBONE, tls: { mode: Passthrough } }
    - { name: xds-tls, port: ${xdsPort}, protocol: TLS, tls: { mode: Passthrough } }
`;
