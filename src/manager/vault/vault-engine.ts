import { MeshError } from "../../errors.ts";
import type { OpenedCertificate } from "../../ca/path.ts";
import { issuerOf, type Ladder, ladder, openedPem, subjectOf } from "./vault-chain.ts";
import { stringsOf, type VaultClient, type VaultReply } from "./vault-client.ts";
import type { VaultTarget } from "./vault-target.ts";

/** Who signs in a PKI engine, and what leads to its root. */
export interface Engine extends Ladder {
  readonly root: OpenedCertificate;
  /** For the policy's status. */
  readonly notes: readonly string[];
}

/** Asks for the issuer's chain, which an engine tells everybody. @throws MeshError as `Issuer.roots`. */
export async function engineChain(client: VaultClient, target: VaultTarget, signal: AbortSignal): Promise<Engine> {
  const { mount, issuer } = target.path;
  const path = issuer === undefined ? `${mount}/cert/ca_chain` : `${mount}/issuer/${issuer}/json`;
  const told = await certificatesAt(client, target, path, signal);
  // Engines from before issuers had names leave a root that signs out of its own chain.
  const all = told.length > 0 ? told : await certificatesAt(client, target, `${mount}/cert/ca`, signal);
  const [first] = all;
  if (first === undefined) throw new MeshError("absent", `${client.name}: ${noAuthority(mount)}`);
  const authorities = (await client.authorities(signal)) ?? [];
  return anchored(`${client.name}, mount ${mount}`, ladder(first, all), authorities);
}

const noAuthority = (mount: string): string =>
  `the PKI engine ${mount} has no authority yet; give it one with \`vault write ${mount}/intermediate/set-signed ` +
  `certificate=@chain.pem\`, or \`vault write ${mount}/root/generate/internal …\``;

async function certificatesAt(
  client: VaultClient,
  target: VaultTarget,
  path: string,
  signal: AbortSignal,
): Promise<readonly OpenedCertificate[]> {
  const reply = await client.ask({ ...anybodysQuestion(target, path), path }, signal).catch((thrown: unknown) => {
    throw rootFault(MeshError.from(thrown));
  });
  return openedPem(`${client.name} at ${path}`, chainIn(reply));
}

function anybodysQuestion({ path: { mount, issuer }, namespace }: VaultTarget, path: string) {
  const place =
    namespace === ""
      ? "; if it is in a namespace, set vault.namespace in the RootTrustPolicy"
      : `; namespace is ${namespace}`;
  const mounted = `no PKI engine is mounted at ${mount}, or caPath is wrong${place}`;
  const unnamed = `the PKI engine ${mount} has no issuer ${issuer}; \`vault list ${mount}/issuers\` names them`;
  return {
    method: "GET",
    token: "",
    body: undefined,
    refusals: [
      {
        says: /unable to find (PKI )?issuer/i,
        fix: issuer === undefined ? noAuthority(mount) : unnamed,
      },
      { says: /could not fetch|no default issuer|missing/i, fix: noAuthority(mount) },
    ],
    // Without a token there is no telling a mount that may not be read from one that is not there.
    onDenied: `${mounted}; ${path} of an engine needs no permission`,
    onAbsent: mounted,
  } as const;
}

/** Whoever asks for roots is told what to mend, not that it may not. */
function rootFault(fault: MeshError): MeshError {
  return fault.code === "denied" ? new MeshError("absent", fault.message, fault.detail, { cause: fault }) : fault;
}

/** As text in `cert/ca_chain`, as a list of an issuer. */
function chainIn({ data }: VaultReply): readonly string[] {
  const { certificate, ca_chain: chain } = data;
  return [certificate, ...(Array.isArray(chain) ? stringsOf(chain) : [chain])].filter(
    (text) => typeof text === "string",
  );
}

function anchored(where: string, found: Ladder, authorities: readonly OpenedCertificate[]): Engine {
  const { steps, root } = ladder(found.steps[0], [...found.steps, ...authorities]);
  const last = found.steps.at(-1)!;
  if (root === undefined)
    throw new MeshError(
      "invalid",
      `${where}: its chain ends at ${subjectOf(last)} without its root, ${issuerOf(last)}, so nobody could be told what to ` +
        `trust; import that root (\`vault write <mount>/issuers/import/cert pem_bundle=@root.pem\`), or put it into caBundle`,
    );
  const note = `${where}: the root ${subjectOf(root)} is taken from what verifies the server, as the mount's own chain is without it`;
  return { steps, root, notes: found.root === undefined ? [note] : [] };
}
