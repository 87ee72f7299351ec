import { boundedName } from "../../ca/authority-request.ts";
import { pathLength } from "../../ca/certificate-fields.ts";
import type { OpenedCertificate } from "../../ca/path.ts";
import { MeshError } from "../../errors.ts";
import type { EpochMs } from "../../host.ts";
import type { Fields } from "../../kube/fields.ts";
import { printable } from "../../printable.ts";
import type { SignedIntermediate } from "../../relay/messages.ts";
import type { IntermediateOrder } from "../issuer.ts";
import { issuerOf, ladder, openedPem, subjectOf } from "./vault-chain.ts";
import { stringsOf, type VaultReply } from "./vault-client.ts";
import type { Engine } from "./vault-engine.ts";

/** Clocks differ: Vault counts a life from its own, and nothing may outlive what signs it. */
const CLOCKS_MS = 60_000;
/** How far Vault dates back what it signs, for clocks that are behind (contract identity.md 4.3). */
const NOT_BEFORE_SECONDS = 30;

export interface Life {
  readonly seconds: number;
  /** Why it is shorter than ordered; empty if it is not. */
  readonly notes: readonly string[];
}

/**
 * Engines look neither whether an intermediate outlives what signs it nor whether a path length leaves room for it, so
 * what would be of no use is not asked for (contract identity.md 4.3).
 * @param where for messages. @throws MeshError `denied`
 */
export function lifeOf(where: string, order: IntermediateOrder, engine: Engine, roleMs: number, now: EpochMs): Life {
  for (const [below, authority] of engine.steps.entries()) checkRoom(where, authority, below + 1, order.pathLength);
  const first = endsFirst(engine.steps);
  const end = new Date(first.fields.notAfter).toISOString();
  const leftMs = first.fields.notAfter - now - CLOCKS_MS;
  if (leftMs < CLOCKS_MS)
    throw new MeshError(
      "denied",
      `${where}: ${subjectOf(first)} ends at ${end}, so it signs no more; renew it in Vault, and check the clocks`,
    );
  const ms = Math.min(order.lifetimeMs, roleMs, leftMs);
  const why = ms === leftMs ? `${subjectOf(first)} ends at ${end}; renew it in Vault` : "the role's max_ttl says so";
  const note = `${where}: intermediates live for ${daysOf(ms)}, not ${daysOf(order.lifetimeMs)}, as ${why}`;
  return { seconds: Math.floor(ms / 1000), notes: ms < order.lifetimeMs ? [note] : [] };
}

const daysOf = (ms: number): string => `${Math.round(ms / 8_640_000) / 10} days`;

const endsFirst = (steps: Engine["steps"]): OpenedCertificate =>
  steps.reduce((a, b) => (a.fields.notAfter <= b.fields.notAfter ? a : b));

function checkRoom(where: string, authority: OpenedCertificate, below: number, pathLengthOrdered: number): void {
  const { max } = pathLength(authority.fields);
  if (max === undefined || max >= below + pathLengthOrdered) return;
  throw new MeshError(
    "denied",
    `${where}: ${subjectOf(authority)} allows ${max} authorities below it, and ${below + pathLengthOrdered} are wanted; make it ` +
      `anew in Vault with a larger max_path_length, or sign with one nearer to the root`,
  );
}

/** Names are the order's, whatever the request says: Vault is to take none from there. */
export function signBody(order: IntermediateOrder, seconds: number): Fields {
  return {
    csr: order.csr,
    use_csr_values: false,
    common_name: boundedName(order.commonName),
    // It names a cluster, which is no host.
    exclude_cn_from_sans: true,
    organization: boundedName(order.organization),
    uri_sans: `spiffe://${order.trustDomain}`,
    max_path_length: order.pathLength,
    ttl: `${seconds}s`,
    not_before_duration: `${NOT_BEFORE_SECONDS}s`,
    format: "pem",
  };
}

const WARNINGS_MAX = 8;
const WARNING_CHARACTERS_MAX = 300;
/** Told with each intermediate, and as wanted: it signs for workloads alone, and nobody in a mesh reads where its issuer is. */
const AS_WANTED = /^Max path length of the signed certificate is zero|authority information access/;

/** What Vault warns of, for the policy's status. @param vault as `Vault https://vault.internal:8200`. */
export const warningsOf = (vault: string, { warnings }: VaultReply): readonly string[] =>
  warnings
    .filter((warning) => !AS_WANTED.test(warning))
    .slice(0, WARNINGS_MAX)
    .map((warning) => `${vault} warns: ${printable(warning, WARNING_CHARACTERS_MAX)}`);

/**
 * What Vault made: the chain comes in any of the forms that its versions have. Whether it is what was ordered is not looked
 * at here, as with any issuer.
 * @throws MeshError `invalid` for what cannot be read, or leads to no root.
 */
export function signedBy(where: string, { data }: VaultReply, engine: Engine): SignedIntermediate {
  const refuse = (what: string): MeshError => new MeshError("invalid", `${where} answers ${what}`);
  const { certificate, issuing_ca: issuing, ca_chain: chain } = data;
  const [made, ...bundled] = typeof certificate === "string" ? openedPem(where, [certificate]) : [];
  if (made === undefined) throw refuse("without a certificate; check that caPath leads to a PKI engine");
  const told = openedPem(where, [...stringsOf(chain), ...(typeof issuing === "string" ? [issuing] : [])]);
  const { steps, root } = ladder(made, [...bundled, ...told, ...engine.steps]);
  if (root === undefined)
    throw refuse(`with a chain that ends at ${issuerOf(steps.at(-1)!)}, which is no root; import that one's chain`);
  return { chain: steps.slice(0, -1).map(({ x509 }) => x509.raw), root: root.x509.raw };
}
