#include "flyweight/serve_plan.h"

#include "cli/commands/commands.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/text.h"

namespace flyweight::cli {
namespace {

void PrintJson(const ServePlan& plan, Console& console) {
  Json json;
  json["naive_bytes"] = plan.naive_bytes;
  json["held_bytes"] = plan.held_bytes;
  json["resident_bytes"] = plan.resident_bytes;
  for (const ServedModel& model : plan.models) {
    Json row;
    row["path"] = model.path;
    row["tensor_count"] = model.tensor_count;
    row["tensor_bytes"] = model.tensor_bytes;
    row["shared_count"] = model.shared_count;
    row["own_bytes"] = model.own_bytes;
    json["models"].push_back(row);
  }
  console.Write(ToJsonLine(json));
}

void PrintTable(const ServePlan& plan, Console& console) {
  Table table("lrrrr");
  table.Add({"model", "tensors", "size", "shared", "own"});
  for (const ServedModel& model : plan.models) {
    table.Add({EscapeForTerminal(model.path), std::to_string(model.tensor_count), HumanBytes(model.tensor_bytes),
               std::to_string(model.shared_count), HumanBytes(model.own_bytes)});
  }
  table.Print(console);
  console.Print("each by itself   " + HumanBytes(plan.naive_bytes));
  console.Print("shared           " + HumanBytes(plan.held_bytes) + ", " +
                HumanPercent(plan.held_bytes, plan.naive_bytes));
  if (plan.resident_bytes != 0) console.Print("measured         " + HumanBytes(plan.resident_bytes) + " of memory");
}

}  // namespace

void RunServePlan(const Arguments& arguments, Console& console) {
  std::vector<std::string> patches(arguments.files.begin() + 1, arguments.files.end());
  ServePlanOptions options;
  options.thread_count = arguments.thread_count;
  Result<ServePlan> plan = PlanServing(arguments.files.front(), patches, options);
  if (!plan.ok()) return console.Fail("serve-plan", plan.error());
  if (arguments.json) return PrintJson(plan.value(), console);
  PrintTable(plan.value(), console);
}

}  // namespace flyweight::cli
