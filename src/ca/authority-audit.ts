import { join } from "node:path";
import { MeshError } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { type AuthorityFolder, certificatesOf, type FoundCertificate, namesOf } from "./authority-folder.ts";
import { authorityOf } from "./cacerts.ts";
import { brokenFor, doubtsOn, selfIssued } from "./certificate-audit.ts";
import { DAY_MS, USUAL_LIFETIME_MS } from "./new-authority.ts";
import { pemBlocks } from "./pem.ts";
import { adviceOn, lifeOf } from "./remaining-life.ts";
import { ROOT_LAYOUT } from "./root-folder.ts";

/** What is wrong with a folder. With an error it, or what it signs, is refused by somebody; a warning is for later. */
export interface Finding {
  readonly severity: "error" | "warning";
  readonly file: string;
  readonly reason: string;
  readonly fix: string;
}

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
  ];
  // The first check of one file that fails says it best.
  const seen = new Set<string>();
  return findings.filter(({ file, reason }) => !seen.has(`${file} ${reason}`) && seen.add(`${file} ${reason}`));
}

const absent = ({ folder }: AuthorityFolder, name: string): Finding => ({
  severity: "error",
  file: join(folder, name),
  reason: "it is not there",
  fix: "put it beside the others: half an authority is none",
});

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
    return [{ severity: "error", file: join(folder, file ?? ""), reason, fix: fix ?? "issue it anew" }];
  }
}

/** istiod reads a chain that it never verifies, and sends it as it is. */
function chainFile({ folder, layout, text }: AuthorityFolder): readonly Finding[] {
  if (layout.chain === undefined) return [];
  const [own] = pemBlocks(text.get(layout.certificate) ?? "", "CERTIFICATE");
  const [first] = pemBlocks(text.get(layout.chain) ?? "", "CERTIFICATE");
  if (own === undefined || first === undefined || first.equals(own)) return [];
  return [
    {
      severity: "error",
      file: join(folder, layout.chain),
      reason: `it does not begin with the certificate of ${layout.certificate}, and istiod sends it so to peers, which fail`,
      fix: `begin it with ${layout.certificate}, then each issuer up to the root`,
    },
  ];
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

function auditCertificate(found: FoundCertificate, folder: string, now: EpochMs): readonly Finding[] {
  const file = join(folder, found.file);
  const name = `"${found.certificate.subject.replace(/\n/g, ", ")}"`;
  const life = lifeOf(found, now);
  const advice = adviceOn(life, found.role);
  const late = advice !== undefined && life !== "expired" && life !== "future";
  const until = `valid until ${new Date(found.notAfter).toISOString()}`;
  return [
    ...brokenFor(found).map(
      ([reason, fix]) => ({ ...warning(file, `${name} ${reason}`, fix), severity: "error" }) as const,
    ),
    ...doubtsOn(found).map(([reason, fix]) => warning(file, `${name} ${reason}`, fix)),
    ...(late ? [warning(file, `${name} is ${until}`, advice)] : []),
  ];
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
