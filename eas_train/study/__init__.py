"""Studies: methods x seeds x budgets from one configuration, with intervals, costs, tables, figures and a report."""
