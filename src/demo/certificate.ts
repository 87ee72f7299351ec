import { readFile } from "node:fs/promises";
import { requestCertificate, verifySvid } from "../ca/client.ts";
import { toPem } from "../pem.ts";
import { demoClient } from "../commands/demo-client.ts";
import type { RunningPlane } from "../commands/running-plane.ts";
import type { Config } from "../config.ts";
import { MeshError } from "../errors.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { SpireStandIn } from "./spire/stand-in.ts";

/** A certificate as a workload gets it. */
export interface IssuedSvid {
  readonly spiffeId: string;
  readonly notAfter: string;
  /** Whose roots it leads to: that of the cluster's own authority, or of the stand-in for SPIRE. */
  readonly issuer: "mesh" | "spire";
}

/** One control plane, as a workload there asks for its certificate. */
export interface CertificateSource extends RunningPlane {
  readonly config: Config;
  /** Undefined if the cluster's own authority signs. */
  readonly spire: SpireStandIn | undefined;
}

/** What a ztunnel does for a workload of its node. @throws MeshError with what the control plane said, or what is wrong with its answer. */
export async function certificateOf(
  { spire, ...running }: CertificateSource,
  signal: AbortSignal,
): Promise<IssuedSvid> {
  const { plane, host } = running;
  const { address, token, impersonate } = await demoClient(running);
  const roots = await readFile(plane.rootCertificateFile, "utf8");
  const asked = impersonate && formatServiceAccountId(impersonate);
  const request = { address, roots, token, clusterId: plane.localCluster, impersonate: asked, ttlSeconds: 0, signal };
  const elements = await requestCertificate(request);
  // Whatever the answer says whom to trust: the issuer is who it is to be.
  const issuer = spire === undefined ? roots : spire.trust.own.roots.map((root) => toPem("CERTIFICATE", root)).join("");
  const { spiffeId, notAfter } = verifySvid([...elements.slice(0, -1), issuer], host.clock.now());
  if (asked !== undefined && spiffeId !== asked)
    throw new MeshError("internal", `a certificate for ${asked} was asked for, and one for ${spiffeId} came`);
  return { spiffeId, notAfter: new Date(notAfter).toISOString(), issuer: spire === undefined ? "mesh" : "spire" };
}
