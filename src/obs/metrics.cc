#include "obs/metrics.h"

#include "base/check.h"

#include <algorithm>
#include <array>
#include <type_traits>

#include <fmt/format.h>

namespace tulle::obs {
namespace {

constexpr std::array<double, 16> duration_bounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                 0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
                                                 1,      2.5,     5,      10};

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

// One sample's name and labels: name{a="1",le="0.5"}.
struct SampleName {
  std::string_view name;
  std::string_view suffix;
  const std::vector<std::string>& label_names;
  const std::vector<std::string>& label_values;
  std::string_view le;  // empty: no such label
};

void append_sample(std::string& out, const SampleName& sample, std::string_view value) {
  out += sample.name;
  out += sample.suffix;
  char separator = '{';
  auto append_label = [&](std::string_view name, std::string_view text) {
    out += separator;
    separator = ',';
    out += name;
    out += "=\"";
    append_escaped(out, text, true);
    out += '"';
  };
  for (std::size_t i = 0; i < sample.label_names.size(); ++i) {
    append_label(sample.label_names[i], sample.label_values[i]);
  }
  if (!sample.le.empty()) append_label("le", sample.le);
  if (separator == ',') out += '}';
  out += ' ';
  out += value;
  out += '\n';
}

void append_metric(std::string& out, SampleName sample, const Counter& counter) {
  append_sample(out, sample, fmt::format("{}", counter.value()));
}

void append_metric(std::string& out, SampleName sample, const Gauge& gauge) {
  append_sample(out, sample, fmt::format("{}", gauge.value()));
}

void append_metric(std::string& out, SampleName sample, const Histogram& histogram) {
  std::uint64_t count = 0;
  sample.suffix = "_bucket";
  for (std::size_t i = 0; i <= histogram.bounds().size(); ++i) {
    bool last = i == histogram.bounds().size();
    std::string le = last ? "+Inf" : fmt::format("{}", histogram.bounds()[i]);
    sample.le = le;
    count += histogram.bucket(i);
    append_sample(out, sample, fmt::format("{}", count));
  }
  sample.le = {};
  sample.suffix = "_sum";
  append_sample(out, sample, fmt::format("{}", histogram.sum()));
  sample.suffix = "_count";
  append_sample(out, sample, fmt::format("{}", count));
}

template <class Metric>
constexpr std::string_view type_name() {
  if constexpr (std::is_same_v<Metric, Counter>) return "counter";
  if constexpr (std::is_same_v<Metric, Gauge>) return "gauge";
  return "histogram";
}

}  // namespace

std::span<const double> duration_bounds_s() { return duration_bounds; }

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()), buckets_(bounds.size() + 1) {
  CHECK(std::ranges::is_sorted(bounds_));
}

void Histogram::observe(double value) {
  auto bound = std::ranges::lower_bound(bounds_, value);
  auto& bucket = buckets_[static_cast<std::size_t>(bound - bounds_.begin())];
  bucket.fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

std::uint64_t Histogram::count() const {
  std::uint64_t count = 0;
  for (const auto& bucket : buckets_) count += bucket.load(std::memory_order_relaxed);
  return count;
}

template <class Metric>
Metric& Family<Metric>::with(const LabelValues& values) {
  CHECK(values.size() == label_names_.size());
  std::lock_guard lock(mutex_);
  auto found = series_.find(values);
  if (found != series_.end()) return *found->second;
  bool full = series_.size() >= series_max;
  auto& metric = series_[full ? LabelValues(values.size(), "other") : values];
  if (!metric) {
    if constexpr (std::is_same_v<Metric, Histogram>) {
      metric = std::make_unique<Metric>(bounds_);
    } else {
      metric = std::make_unique<Metric>();
    }
  }
  return *metric;
}

template <class Metric>
void Family<Metric>::write(std::string& out) const {
  std::lock_guard lock(mutex_);
  if (series_.empty()) return;
  out += "# HELP " + name_ + " ";
  append_escaped(out, help_, false);
  out += fmt::format("\n# TYPE {} {}\n", name_, type_name<Metric>());
  for (const auto& [values, metric] : series_) {
    append_metric(out, SampleName{name_, {}, label_names_, values, {}}, *metric);
  }
}

template class Family<Counter>;
template class Family<Gauge>;
template class Family<Histogram>;

template <class Metric>
Family<Metric>& Registry::find_or_make(Families<Metric>& families, const MetricInfo& info,
                                       std::span<const double> bounds) {
  std::lock_guard lock(mutex_);
  auto& family = families[info.name];
  if (!family) {
    family = std::make_unique<Family<Metric>>(info.name, info.help, info.labels,
                                              std::vector<double>(bounds.begin(), bounds.end()));
    auto named =
        counters_.count(info.name) + gauges_.count(info.name) + histograms_.count(info.name);
    CHECK(named == 1);
  }
  CHECK(family->label_names() == info.labels);
  return *family;
}

Family<Counter>& Registry::counter(const MetricInfo& info) {
  return find_or_make(counters_, info, {});
}

Family<Gauge>& Registry::gauge(const MetricInfo& info) { return find_or_make(gauges_, info, {}); }

Family<Histogram>& Registry::histogram(const MetricInfo& info, std::span<const double> bounds) {
  return find_or_make(histograms_, info, bounds);
}

std::string Registry::exposition() const {
  std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [name, family] : counters_) family->write(out);
  for (const auto& [name, family] : gauges_) family->write(out);
  for (const auto& [name, family] : histograms_) family->write(out);
  return out;
}

}  // namespace tulle::obs
