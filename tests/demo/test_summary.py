"""What the demo prints and keeps of its metrics."""

from demo.summary import format_table, most_frequent_answer, summarize


def results(**pretrain):
    return dict(
        synthetic=dict(blind=dict(accuracy=33.46), images=dict(test2015=600), questions=dict(test2015=3461)),
        pretrain=dict(
            dict(
                metrics={'lr': 1, 'loss_mlm': 2.0, 'val/loss_mlm': 1.5, 'val/acc_mlm': 70.0},
                held_out=['val/loss_mlm', 'val/acc_mlm'],
                seed=0,
                device='CPU',
            ),
            **pretrain,
        ),
        evaluation=dict(
            metrics=dict(
                vqa=dict(accuracy=81.25, accuracy_yes_no=90.0, accuracy_number=70.0),
                vqa_blind=dict(accuracy=40.0, accuracy_yes_no=55.0, accuracy_number=30.0),
            ),
            most_frequent_answer=dict(yes_no=54.0, number=24.0),
            versions=dict(torch='2'),
            git_commit=None,
        ),
    )


def test_figures_of_held_out_pictures_come_first():
    summary = summarize(results(), dict(synthetic=1.0, pretrain=2.25), 3.2, [])
    assert summary['pretrain'] == dict(loss_mlm=1.5, acc_mlm=70.0, measured_on='held-out pictures')
    assert summary['seconds'] == dict(synthetic=1.0, pretrain=2.25, total=3.2)
    assert (summary['vqa_accuracy'], summary['vqa_accuracy_without_image']) == (81.25, 40.0)


def test_without_validation_the_last_training_figures_stand_and_say_so():
    metrics = summarize(results(held_out=[], metrics={'loss_mlm': 2.0, 'lr': 1}), {}, 0.0, [])['pretrain']
    assert metrics == dict(loss_mlm=2.0, measured_on='the last training batches')


def test_table_shows_every_figure_and_a_dash_for_what_was_not_measured():
    table = format_table(summarize(results(), dict(synthetic=1.0), 1.0, []))
    lines = {line[2:24].strip(): line.split()[-4:] for line in table.splitlines() if line.startswith('  ')}
    assert lines['with the image'] == ['81.25', '90.00', '70.00', '–']
    assert lines['without the image'] == ['40.00', '55.00', '30.00', '–']
    assert lines['most frequent answer'] == ['33.46', '54.00', '24.00', '–']
    assert lines['masked words'][-2:] == ['1.500', '70.00']
    assert lines['image-text matching'][-2:] == ['–', '–']


def test_baseline_of_an_answer_type_is_the_mean_over_its_questions():
    blind = dict(
        kinds=dict(
            existence=dict(accuracy=60.0, share=10.0),
            negation=dict(accuracy=50.0, share=30.0),
            count=dict(accuracy=24.0, share=60.0),
        )
    )
    annotations = [
        dict(question_type='existence', answer_type='yes/no'),
        dict(question_type='negation', answer_type='yes/no'),
        dict(question_type='count', answer_type='number'),
    ]
    assert most_frequent_answer(blind, annotations) == dict(yes_no=52.5, number=24.0)
