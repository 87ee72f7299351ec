import { join } from "node:path";
import type { Config } from "../config.ts";
import { MeshError } from "../errors.ts";
import type { Pod } from "../registry/kube/pod.ts";
import type { ServiceAccountId } from "../spiffe.ts";
import { writeWhole } from "../whole-file.ts";
import { writeConnection } from "./connection.ts";
import type { RunningPlane } from "./running-plane.ts";
import { boundTo, livePodsOf } from "./tokens.ts";

/** Somebody for whom commands on this machine can connect. */
export interface DemoClient {
  /** `host:port` of discovery. */
  readonly address: string;
  readonly token: string;
  /** Whose token it is, in words. */
  readonly who: string;
  /** A workload on the node of the token's pod, if that may ask for it. */
  readonly impersonate: ServiceAccountId | undefined;
}

/** A token of a ztunnel if the mesh has one, else of any pod, else of ztunnel's account, bound to nothing. */
export async function demoClient({ plane, config }: RunningPlane & { readonly config: Config }): Promise<DemoClient> {
  const issuer = plane.tokens.get(plane.localCluster);
  if (issuer === undefined) throw new MeshError("internal", `cluster ${plane.localCluster} has no token issuer`);
  const { listenAddress, systemNamespace: namespace, trustDomain, trustedNodeAccounts } = config;
  const address = `${dialled(listenAddress)}:${plane.ports.xds}`;
  const pods = livePodsOf(plane.registry, plane.localCluster);
  const isZtunnel = (pod: Pod): boolean => trustedNodeAccounts.has(`${pod.namespace}/${pod.serviceAccount}`);
  const pod = pods.find(isZtunnel) ?? pods[0];
  if (pod === undefined) {
    const subject = { namespace, serviceAccount: "ztunnel", pod: undefined };
    return { address, token: await issuer.issue(subject), who: `account ${namespace}/ztunnel`, impersonate: undefined };
  }
  const neighbour = pods.find(({ node, tunnel }) => node === pod.node && tunnel !== "none");
  const impersonate =
    isZtunnel(pod) && neighbour !== undefined
      ? { trustDomain, namespace: neighbour.namespace, serviceAccount: neighbour.serviceAccount }
      : undefined;
  return { address, token: await issuer.issue(boundTo(pod)), who: `pod ${pod.namespace}/${pod.name}`, impersonate };
}

/** Leaves in the state folder what other commands need to connect; without a client, they bring a token of their own. */
export async function leaveConnection(
  { plane, admin }: RunningPlane,
  { stateDir, listenAddress }: Config,
  client: DemoClient | undefined,
  pid: number,
): Promise<void> {
  const host = dialled(listenAddress);
  const tokenFile = join(stateDir, "token");
  // No line end, on which ztunnel would fail.
  if (client !== undefined) await writeWhole(tokenFile, client.token, 0o600);
  await writeConnection(stateDir, {
    cluster: plane.localCluster,
    xds: `${host}:${plane.ports.xds}`,
    admin: `http://${host}:${admin.adminPort}`,
    health: `http://${host}:${admin.healthPort}`,
    rootCertificate: plane.rootCertificateFile,
    token: client === undefined ? "" : tokenFile,
    pid,
  });
}

/** The host part of an address at which something that listens there can be reached on this machine. */
export function dialled(listenAddress: string): string {
  if (listenAddress === "0.0.0.0") return "127.0.0.1";
  if (listenAddress === "::") return "[::1]";
  return listenAddress.includes(":") ? `[${listenAddress}]` : listenAddress;
}
