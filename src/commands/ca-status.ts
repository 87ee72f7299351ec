import { join } from "node:path";
import {
  type AuthorityFolder,
  brokenFiles,
  certificatesOf,
  type FoundCertificate,
  readAuthorityFolder,
} from "../ca/authority-folder.ts";
import { fingerprintOf } from "../ca/issued-list.ts";
import { keyTypeOf } from "../ca/key-type.ts";
import { adviceOn, lifeOf } from "../ca/remaining-life.ts";
import { type Command, listOption, UsageError } from "../command.ts";
import { formatDuration } from "../duration.ts";
import type { Clock, EpochMs } from "../host.ts";
import { DIRS_FLAG } from "./ca-flags.ts";
import { spiffeIdsOf, subjectOf } from "./ca-description.ts";
import { OUTPUT_FLAG, print } from "./output.ts";
import type { Row } from "./table.ts";

const HEADERS = ["FILE", "WHAT", "SUBJECT", "SPIFFE ID", "KEY", "SHA-256", "VALID UNTIL", "LEFT", "NOTE"];
/** Enough to tell certificates apart at a glance. */
const FINGERPRINT_CHARACTERS = 16;

/** `causeway ca status`: what is in folders of authorities, and how long it lasts; 1 if something is to be done. */
export const caStatusCommand = (clock: Clock): Command => ({
  name: "status",
  summary: "certificates of authorities, and how long they last; exit code 1 if one is due",
  flags: [DIRS_FLAG, OUTPUT_FLAG],
  async run(call) {
    const folders = listOption(call.options, "dir");
    if (folders.length === 0) throw new UsageError("say which folder with --dir DIR");
    const now = clock.now();
    const found = await Promise.all(folders.map(readAuthorityFolder));
    const views = found.flatMap((folder) => viewsOf(folder, now));
    print(call, views, HEADERS, () => views.map(toRow));
    const broken = found.flatMap((one) => brokenFiles(one).map((name) => join(one.folder, name)));
    for (const file of broken)
      call.printer.err(`${file} is missing, or cannot be read: "causeway ca verify" says why\n`);
    return broken.length === 0 && views.every(({ note }) => note === "") ? 0 : 1;
  },
});

interface CertificateView {
  readonly file: string;
  readonly role: FoundCertificate["role"];
  readonly subject: string;
  readonly spiffeId: string;
  readonly keyType: string;
  readonly sha256: string;
  readonly notBefore: string;
  readonly notAfter: string;
  /** 0 once it has expired. */
  readonly leftMs: number;
  /** What to do about it; empty if nothing. */
  readonly note: string;
}

const viewsOf = (found: AuthorityFolder, now: EpochMs): readonly CertificateView[] =>
  certificatesOf(found).map((one) => ({
    file: join(found.folder, one.file),
    role: one.role,
    subject: subjectOf(one.certificate),
    spiffeId: spiffeIdsOf(one.certificate),
    keyType: keyTypeOf(one.certificate.publicKey),
    sha256: fingerprintOf(one.certificate.raw),
    notBefore: new Date(one.notBefore).toISOString(),
    notAfter: new Date(one.notAfter).toISOString(),
    leftMs: Math.max(0, one.notAfter - now),
    note: adviceOn(lifeOf(one, now), one.role) ?? "",
  }));

const toRow = ({ file, role, subject, spiffeId, keyType, sha256, notAfter, leftMs, note }: CertificateView): Row => [
  file,
  role,
  subject,
  spiffeId === "" ? "-" : spiffeId,
  keyType,
  sha256.slice(0, FINGERPRINT_CHARACTERS),
  notAfter.replace(/\.\d+/, ""),
  leftMs === 0 ? "-" : formatDuration(leftMs),
  note,
];
