/** Notes a problem unless something holds, with the value that is wrong where one is given. */
export function expectShape(problems: string[], holds: boolean, problem: string, ...value: readonly unknown[]): void {
  if (!holds) {
    problems.push([problem, ...value.map((each) => JSON.stringify(each))].join(" "));
  }
}
