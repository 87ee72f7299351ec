import { auditAuthority } from "../ca/authority-audit.ts";
import { type AuthorityFolder, readAuthorityFolder } from "../ca/authority-folder.ts";
import type { Finding } from "../ca/finding.ts";
import { pemBlocks } from "../pem.ts";
import { trustDomainOf } from "../ca/root-folder.ts";
import { type Command, listOption, UsageError } from "../command.ts";
import type { Clock } from "../host.ts";
import { printable } from "../printable.ts";
import { DIRS_FLAG, trustDomainFlag, trustDomainOption } from "./ca-flags.ts";

import { OUTPUT_FLAG, print } from "./output.ts";

const HEADERS = ["SEVERITY", "FILE", "REASON", "FIX"];

/** `causeway ca verify`: every check that is made before use, and those that istiod leaves out; 1 if one fails. */
export const caVerifyCommand = (clock: Clock): Command => ({
  name: "verify",
  summary: "check the files of authorities as Causeway does before use; exit code 1 if one cannot be used",
  flags: [DIRS_FLAG, trustDomainFlag("the one that its certificate names"), OUTPUT_FLAG],
  async run(call) {
    const { options, printer } = call;
    const folders = listOption(options, "dir");
    if (folders.length === 0) throw new UsageError("say which folder with --dir DIR");
    const asked = trustDomainOption(options);
    const now = clock.now();
    const read = await Promise.all(folders.map(readAuthorityFolder));
    const findings = read.flatMap((found) => auditAuthority(found, asked ?? namedBy(found), now));
    const good = findings.every(({ severity }) => severity !== "error");
    if (findings.length > 0 || options["output"] !== "table") print(call, findings, HEADERS, () => findings.map(toRow));
    if (good) printer.err(printable(`${folders.join(", ")} can be used`, 1000) + "\n");
    return good ? 0 : 1;
  },
});

function namedBy({ layout, text }: AuthorityFolder): string {
  const [own] = pemBlocks(text.get(layout.certificate) ?? "", "CERTIFICATE");
  return (own && trustDomainOf(own)) ?? "cluster.local";
}

const toRow = ({ severity, file, reason, fix }: Finding): readonly string[] => [severity, file, reason, fix];
