import { join } from "node:path";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { type AuthorityFolder, certificatesOf, type FoundCertificate, namesOf } from "./authority-folder.ts";
import { authorityOf } from "./cacerts.ts";
import { brokenFor, type Doubt, doubtsOn, selfIssued } from "./certificate-audit.ts";
import { pathLength, readCertificate } from "./certificate-fields.ts";
import { isIssuedBy } from "./cluster-authority.ts";
import { auditLists } from "./crl-audit.ts";
import { DAY_MS, USUAL_LIFETIME_MS } from "./new-authority.ts";
import { pemBlocks } from "../pem.ts";
import type { Finding } from "./finding.ts";
import { adviceOn, lifeOf } from "./remaining-life.ts";
import { ROOT_LAYOUT } from "./root-folder.ts";

/**
 * Holds a folder to all that Causeway checks before use, and to what istiod and ztunnel stumble over without a word
 * (contract identity.md 3.1, 2.2, 2.3).
 */
export function auditAuthority(found: AuthorityFolder, trustDomain: string, now: EpochMs): readonly Finding[] {
  const missing = namesOf(found.layout).filter((name) => !found.text.has(name));
  const certificates = certificatesOf(found);
  const findings = [
    ...(missing.length > 0 ? missing.map((name) => absent(found, name)) : believed(found, trustDomain, now)),
    ...chainFile(found),
    ...keyFile(found),
    ...certificates.flatMap((one) => auditCertificate(one, found.folder, now)),
    ...auditLifetimes(certificates, found.folder),
    ...auditRootPath(certificates, found.folder),
    ...auditLists(found, certificates, now),
  ];
  // The first check of one file that fails says it best.
  const seen = new Set<string>();
  return findings.filter(({ file, reason }) => !seen.has(`${file} ${reason}`) && seen.add(`${file} ${reason}`));
}

const absent = ({ folder }: AuthorityFolder, name: string): Finding =>
  error(join(folder, name), "it is not there", "put it beside the others: half an authority is none");

/** What Causeway itself says of it. */
function believed({ folder, layout, text }: AuthorityFolder, trustDomain: string, now: EpochMs): readonly Finding[] {
  try {
    authorityOf({ folder, layout, text, digest: "" }, trustDomain, now);
    return [];
  } catch (thrown) {
    if (!(thrown instanceof MeshError)) throw thrown;
    const { message } = thrown;
    const file = namesOf(layout).find((name) => message.startsWith(`${join(folder, name)}: `));
    const sentence = file === undefined ? message : message.slice(join(folder, file).length + 2);
    const [reason, fix] = splitAt(sentence, sentence.lastIndexOf("; "));
    return [error(join(folder, file ?? ""), reason, fix ?? "issue it anew")];
  }
}

/** istiod sends the chain that it is given, verified or not, after each leaf (contract identity.md 3.1). */
function chainFile(found: AuthorityFolder): readonly Finding[] {
  const { folder, layout, text } = found;
  const own = certificatesOf(found).find(({ role }) => role === "authority");
  if (layout.chain === undefined || own === undefined || selfIssued(own.certificate)) return [];
  const [first] = pemBlocks(text.get(layout.chain) ?? "", "CERTIFICATE");
  if (first?.equals(own.certificate.raw) === true || !text.has(layout.chain)) return [];
  const reason = `it does not begin with the certificate of ${layout.certificate}, and istiod sends it so to peers, which fail`;
  const fix = `begin it with ${layout.certificate}, then each issuer up to the root`;
  return [error(join(folder, layout.chain), reason, fix)];
}

function keyFile({ folder, layout, text, keyMode = 0o600, hasRootKey }: AuthorityFolder): readonly Finding[] {
  const file = join(folder, layout.key);
  return [
    ...(text.has(layout.key) && (keyMode & 0o077) !== 0
      ? [warning(file, `others on this machine may read it (mode ${keyMode.toString(8)})`, `chmod 600 ${file}`)]
      : []),
    ...(hasRootKey && layout !== ROOT_LAYOUT
      ? [
          warning(
            join(folder, ROOT_LAYOUT.key),
            "the root's key lies in a cluster's folder",
            "keep it where no cluster is",
          ),
        ]
      : []),
  ];
}

const warning = (file: string, reason: string, fix: string): Finding => ({ severity: "warning", file, reason, fix });
const error = (file: string, reason: string, fix: string): Finding => ({ severity: "error", file, reason, fix });

function auditCertificate(found: FoundCertificate, folder: string, now: EpochMs): readonly Finding[] {
  const file = join(folder, found.file);
  // Node gives undefined for an empty name, as a workload's certificate has it.
  const subject = found.certificate.subject as string | undefined;
  const name = `"${(subject ?? "").replace(/\n/g, ", ")}"`;
  const life = lifeOf(found, now);
  const advice = adviceOn(life, found.role);
  const late = advice !== undefined && life !== "expired" && life !== "future";
  const until = `valid until ${new Date(found.notAfter).toISOString()}`;
  return [
    ...readable(brokenFor, found).map(([reason, fix]) => error(file, `${name} ${reason}`, fix)),
    ...readable(doubtsOn, found).map(([reason, fix]) => warning(file, `${name} ${reason}`, fix)),
    ...(late ? [warning(file, `${name} is ${until}`, advice)] : []),
  ];
}

/** What a check finds; that a part of the certificate cannot be read is a finding, too. */
function readable(check: (found: FoundCertificate) => readonly Doubt[], found: FoundCertificate): readonly Doubt[] {
  try {
    return check(found);
  } catch (thrown) {
    if (!(thrown instanceof MeshError)) throw thrown;
    return [[`cannot be read whole: ${thrown.message}`, "issue it anew"]];
  }
}

/** Some verifiers hold a root to its path length, and some do not. */
function auditRootPath(certificates: readonly FoundCertificate[], folder: string): readonly Finding[] {
  const below = certificates.filter(({ role }) => role !== "root");
  const last = below.at(-1);
  return certificates.flatMap(({ role, certificate, file }) => {
    if (role !== "root" || last === undefined || !isIssuedBy(last.certificate, certificate.raw)) return [];
    const { max } = pathLength(readCertificate(certificate.raw));
    if (max === undefined || max >= below.length) return [];
    const reason = `the root allows ${max} authorities below it, and ${below.length} follow: OpenSSL refuses them`;
    return [error(join(folder, file), reason, "use a root with a longer path")];
  });
}

function auditLifetimes(certificates: readonly FoundCertificate[], folder: string): readonly Finding[] {
  const own = certificates.find(({ role }) => role === "authority");
  if (own === undefined || selfIssued(own.certificate)) return [];
  const file = join(folder, own.file);
  const days = Math.round((own.notAfter - own.notBefore) / DAY_MS);
  const outlived = certificates.find(({ role, notAfter }) => role !== "authority" && notAfter < own.notAfter);
  return [
    ...(days > USUAL_LIFETIME_MS / DAY_MS
      ? [warning(file, `it lives ${days} days`, `issue it for ${USUAL_LIFETIME_MS / DAY_MS} at most, and renew it`)]
      : []),
    ...(outlived !== undefined
      ? [warning(file, `it outlives a certificate of ${outlived.file}`, "what it signs ends with the first to end")]
      : []),
  ];
}

const splitAt = (text: string, at: number): readonly [string, string | undefined] =>
  at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 2)];
