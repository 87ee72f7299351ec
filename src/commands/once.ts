import { readFile } from "node:fs/promises";
import { requestCertificate, verifySvid } from "../ca/client.ts";
import { eitherSignal } from "../either-signal.ts";
import { MeshError } from "../errors.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import { DeltaClient } from "../xds/delta-client.ts";
import { dialXds, type XdsTarget } from "../xds/dial.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from "../xds/resource.ts";
import { toReadable } from "../xds/types/readable.ts";
import type { DemoClient } from "./demo-client.ts";
import type { RunningPlane } from "./running-plane.ts";
import { nodeOf } from "./watch.ts";

/** What one pass over everything that a ztunnel does has found. */
export interface Summary {
  readonly workloads: number;
  readonly services: number;
  readonly policies: number;
  readonly svid: { readonly spiffeId: string; readonly notAfter: string };
  /** From the start of the process until everything was served. */
  readonly readyMs: number;
  /** From dialling to the whole mesh, TLS included. */
  readonly snapshotMs: number;
}

/**
 * Does once what a ztunnel does: connects over TLS with a token, receives the mesh, gets a certificate, verifies it.
 * @throws MeshError if any of it fails.
 */
export async function once(running: RunningPlane, client: DemoClient, signal: AbortSignal): Promise<Summary> {
  const { plane, host, readyMs } = running;
  const roots = await readFile(plane.rootCertificateFile, "utf8");
  const { token, impersonate } = client;
  const target: XdsTarget = { address: client.address, roots, token, clusterId: plane.localCluster };
  const start = host.clock.elapsedMs();
  const counts = await receiveMesh(target, signal);
  const snapshotMs = host.clock.elapsedMs() - start;
  const asked = impersonate === undefined ? undefined : formatServiceAccountId(impersonate);
  const request = { ...target, roots, token, impersonate: asked, ttlSeconds: 0, signal };
  const svid = verifySvid(await requestCertificate(request), host.clock.now());
  if (asked !== undefined && svid.spiffeId !== asked)
    throw new MeshError("internal", `a certificate for ${asked} was asked for, and one for ${svid.spiffeId} came`);
  return {
    ...counts,
    svid: { spiffeId: svid.spiffeId, notAfter: new Date(svid.notAfter).toISOString() },
    readyMs: Math.round(readyMs),
    snapshotMs: Math.round(snapshotMs * 10) / 10,
  };
}

async function receiveMesh(
  target: XdsTarget,
  signal: AbortSignal,
): Promise<Pick<Summary, "workloads" | "services" | "policies">> {
  const client = new DeltaClient(nodeOf(target.token), [ADDRESS_TYPE, AUTHORIZATION_TYPE]);
  const done = new AbortController();
  const heard = new Set<string>();
  let workloads = 0;
  await dialXds({
    target,
    client,
    signal: eitherSignal(signal, done.signal),
    onUpdate: ({ typeUrl, resources }) => {
      heard.add(typeUrl);
      if (typeUrl === ADDRESS_TYPE)
        for (const { body } of resources) if (isWorkload(toReadable(ADDRESS_TYPE, body))) workloads += 1;
      // After the ACK of this one.
      if (heard.size === 2) queueMicrotask(() => done.abort());
    },
  });
  if (heard.size < 2) throw new MeshError("timeout", `${target.address} did not send the whole mesh in time`);
  const addresses = client.held(ADDRESS_TYPE).size;
  return { workloads, services: addresses - workloads, policies: client.held(AUTHORIZATION_TYPE).size };
}

/** Of the two kinds of address only workloads have a uid. */
function isWorkload(address: unknown): boolean {
  return address !== null && typeof address === "object" && "uid" in address;
}
