import type { Finding, FindingLevel } from "../finding.ts";

/** What a check is called on the terminal, and the page of the documentation that explains its codes. */
export interface CheckName {
  /** As `Peers Check`; stays the same for good. */
  readonly name: string;
  /** Begins its codes, as `CWY06`. */
  readonly codes: string;
  /** As `peers`: docs/checks/peers.md. */
  readonly page: string;
}

/** One line of the details that --verbose prints. */
export interface DetailLine {
  /** What it begins with; undefined for none. */
  readonly level: FindingLevel | undefined;
  readonly text: string;
}

/** How one check of one cluster, or of all together, went. */
export interface Outcome {
  readonly check: CheckName;
  /** As on the terminal: the check's own, or with what it looked at, as `Pod Check (istiod)`. */
  readonly title: string;
  readonly details: readonly DetailLine[];
  readonly findings: readonly Finding[];
  /** What the last line says, and with which mark. */
  readonly level: FindingLevel;
  readonly summary: string;
}

type Problem = Pick<Finding, "object" | "evidence" | "fix"> & { readonly field?: string };

/** What one check writes down while it looks. */
export class CheckNotes {
  readonly #check: CheckName;
  readonly #title: string;
  readonly #details: DetailLine[] = [];
  readonly #findings: Finding[] = [];
  #unknown: string | undefined;

  /** @param part of what it looks at, as `istiod`. */
  constructor(check: CheckName, part?: string) {
    this.#check = check;
    this.#title = part === undefined ? check.name : `${check.name} (${part})`;
  }

  /** Errors and warnings so far. */
  get problems(): number {
    return this.#findings.filter(({ level }) => level === "error" || level === "warning").length;
  }

  line(text: string, level?: FindingLevel): void {
    this.#details.push({ level, text });
  }

  /** A line with the name of the check before it, as the guide has some. */
  named(text: string, level: FindingLevel): void {
    this.line(`${this.#title}: ${text}`, level);
  }

  /** @param code the last two digits. */
  error(code: string, cluster: string | undefined, problem: Problem): void {
    this.#note("error", code, cluster, problem);
  }

  warn(code: string, cluster: string | undefined, problem: Problem): void {
    this.#note("warning", code, cluster, problem);
  }

  info(code: string, cluster: string | undefined, problem: Problem): void {
    this.#note("info", code, cluster, problem);
  }

  /** What could not be looked at: nothing wrong, and no reason to say that all is well. */
  unknown(code: string, cluster: string | undefined, problem: Problem): void {
    this.#unknown ??= problem.evidence;
    this.#note("info", code, cluster, problem);
  }

  /** Errors where they count, else warnings: a cluster that is about to be linked need not be yet. */
  note(level: "error" | "warning" | "info", code: string, cluster: string | undefined, problem: Problem): void {
    this.#note(level, code, cluster, problem);
  }

  /**
   * @param passed what the last line says if nothing is wrong.
   * @param mark what it begins with then; that of what was found by default.
   */
  outcome(passed: string, cluster: string | undefined, mark?: FindingLevel): Outcome {
    const problems = this.#findings.filter(({ level }) => level === "error" || level === "warning");
    const level = worst(problems) ?? mark ?? "ok";
    if (problems.length === 0 && this.#unknown !== undefined)
      return this.#outcome("info", this.#unknown, this.#findings);
    const [first] = problems.filter((problem) => problem.level === level);
    const errors = problems.filter((problem) => problem.level === "error").length;
    const counted = errors > 0 ? plural(errors, "problem") : plural(problems.length, "warning");
    const summary = first === undefined ? passed : problems.length === 1 ? first.evidence : `${counted} found`;
    const good: Finding = {
      ...{ code: `${this.#check.codes}00`, level: mark === "info" ? "info" : "ok", cluster, object: this.#title },
      ...{ field: "", evidence: passed, fix: "" },
    };
    return this.#outcome(level, summary, problems.length === 0 ? [...this.#findings, good] : this.#findings);
  }

  #outcome(level: FindingLevel, summary: string, findings: readonly Finding[]): Outcome {
    return { check: this.#check, title: this.#title, details: this.#details, findings, level, summary };
  }

  #note(level: FindingLevel, code: string, cluster: string | undefined, problem: Problem): void {
    const { object, evidence, fix, field = "" } = problem;
    this.#findings.push({ code: `${this.#check.codes}${code}`, level, cluster, object, field, evidence, fix });
  }
}

export const plural = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? "" : "s"}`;

function worst(findings: readonly Finding[]): FindingLevel | undefined {
  if (findings.some(({ level }) => level === "error")) return "error";
  return findings.length > 0 ? "warning" : undefined;
}
