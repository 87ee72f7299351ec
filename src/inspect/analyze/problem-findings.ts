import type { Finding } from "../finding.ts";
import type { Problem } from "../../registry/model/problem.ts";
import { analysed, ANALYSIS_CODES, type AnalysisCodeName } from "./codes.ts";
import { codeOfProblem } from "./problem-codes.ts";
import type { Site } from "./site.ts";

/** All that the cluster's own control plane would report of its objects, each with a code. */
export function problemFindings(site: Site): readonly Finding[] {
  const { registry, gatewayProblems, mesh, manifestProblems, facts } = site;
  const { unreadable } = registry.objects;
  const coded = [...registry.problems.entries(), ...gatewayProblems.entries()].flatMap(([key, problem]) => {
    const code = unreadable.get(key as never) === problem ? "CWY2003" : codeOfProblem(key, problem);
    return code === undefined ? [] : [problemFinding(code, site, problem)];
  });
  return [
    ...coded,
    ...mesh.problems.map((problem) => problemFinding("CWY2008", site, problem)),
    ...manifestProblems.map((problem) => problemFinding("CWY2009", site, problem)),
    ...(facts.files?.faults ?? []).map((problem) =>
      problemFinding(isTwice(problem) ? "CWY2002" : "CWY2001", site, problem),
    ),
  ];
}

const isTwice = ({ message }: Problem): boolean => message.includes("it is there already, at ");

function problemFinding(code: AnalysisCodeName, { facts }: Site, problem: Problem): Finding {
  const { object, field, origin, message, severity: level } = problem;
  const [evidence, fix] = evidenceAndFix(message);
  const said = fix === "" ? ANALYSIS_CODES[code].fix : fix;
  return analysed(code, { cluster: facts.cluster, object, field, origin }, evidence, { level, fix: said });
}

const ADVICE =
  /^(.*)[;,] (?:so |and )?((?:make|give|label|use|take|delete|name|move|add|put|set|write|correct|have|create|attach|mend|keep|split|remove|quote|annotate|change|choose|replace|indent|leave|spell)\b.*?)\.?$/s;

/** Sentences of the control plane say first what is, and then what would mend it. */
function evidenceAndFix(message: string): readonly [evidence: string, fix: string] {
  const [, evidence, fix] = ADVICE.exec(message) ?? [];
  return evidence === undefined ? [message.replace(/\.$/, ""), ""] : [evidence, fix!];
}
