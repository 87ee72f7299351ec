import { readFile } from "node:fs/promises";
import { decodeJwt } from "jose";
import { type CommandCall, type Flag, textOption, UsageError } from "../command.ts";
import { MeshError, messageOf } from "../errors.ts";
import { hostAndPortOf } from "../settings.ts";
import type { XdsTarget } from "../xds/dial.ts";
import { readConnection } from "./connection.ts";

/** How a command finds a control plane's port 15012, and is let in. */
export const targetFlags: readonly Flag[] = [
  {
    flags: "--address <host:port>",
    description: "the discovery port; by default that of the demo in the state folder",
  },
  { flags: "--root-cert <file>", description: "PEM of the roots to trust" },
  { flags: "--token <file>", description: "a service account token with audience istio-ca" },
  { flags: "--cluster <name>", description: "the cluster that the token is of" },
  { flags: "--plaintext", description: "the port speaks no TLS and wants no token" },
  { flags: "--state <dir>", description: "where a running demo says how to reach it", default: ".causeway" },
];

/** @throws UsageError, MeshError `absent` or `invalid`, naming the flag or the file that is missing. */
export async function targetOf({ options }: CommandCall): Promise<XdsTarget> {
  const text = (name: string): string | undefined => textOption(options, name);
  const given = text("address");
  const address = given && hostAndPortOf({ text: given, from: "--address" }, "127.0.0.1:15012");
  if (options["plaintext"] === true) {
    if (address === undefined) throw new UsageError("--plaintext needs --address, as 127.0.0.1:15010");
    return { address, roots: undefined, token: undefined, clusterId: text("cluster") ?? "Kubernetes" };
  }
  const files = { roots: text("rootCert"), token: text("token") };
  if (address !== undefined && files.roots !== undefined && files.token !== undefined)
    return {
      address,
      roots: await contentOf(files.roots, "--root-cert"),
      token: (await contentOf(files.token, "--token")).trim(),
      clusterId: text("cluster") ?? "Kubernetes",
    };
  const known = await readConnection(text("state") ?? ".causeway");
  if (files.token === undefined && known.token === "")
    throw new MeshError(
      "absent",
      "that control plane leaves no token: make one with causeway token, and give it with --token",
    );
  return {
    address: address ?? known.xds,
    roots: await contentOf(files.roots ?? known.rootCertificate, "--root-cert"),
    token: (await contentOf(files.token ?? known.token, "--token")).trim(),
    clusterId: text("cluster") ?? known.cluster,
  };
}

async function contentOf(path: string, flag: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    throw new MeshError("absent", `${path} cannot be read: ${messageOf(thrown)}; name another file with ${flag}`);
  }
}

/**
 * The service account that a token is of. Nothing is verified: the control plane does that.
 * @throws MeshError `invalid` if it is no service account token.
 */
export function tokenSubject(token: string): { readonly namespace: string; readonly serviceAccount: string } {
  let subject: string | undefined;
  try {
    subject = decodeJwt(token).sub;
  } catch (thrown) {
    throw new MeshError("invalid", `the token cannot be read: ${messageOf(thrown)}; make one with causeway token`);
  }
  const [system, kind, namespace, serviceAccount, ...rest] = (subject ?? "").split(":");
  if (system !== "system" || kind !== "serviceaccount" || !namespace || !serviceAccount || rest.length > 0)
    throw new MeshError("invalid", `the token is of "${subject ?? ""}", not of a service account`);
  return { namespace, serviceAccount };
}
